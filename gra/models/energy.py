"""`pool.energy`: what turns compute into an estimate of energy. Null by default: no figure without somebody vouching for these."""

from __future__ import annotations

from pydantic import Field

from gra.settings import Settings


class EnergySettings(Settings):
    """The assumptions of the energy estimate (formulas: gra/synthesis/cost.py). `pool.energy={}` takes the defaults as they
    are: an H100 SXM5 at full board power, which is more than it mostly draws, in an average computing centre."""

    board_watts: float = Field(700.0, gt=0, description="W a GPU draws. 700: H100 SXM5's limit (NVIDIA's data sheet).")
    pue: float = Field(1.56, ge=1, description="Energy of the building per energy of the machines. 1.56: Uptime Institute 2024.")
    peak_tflops: float = Field(989.0, gt=0, description="Dense TFLOP/s a GPU has. 989: H100 SXM5, bfloat16 (data sheet).")
    utilisation: float = Field(
        0.3, gt=0, le=1,
        description="Share of the peak that serving reaches; used where GPU-seconds are unknown. 0.3: an assumption; Pope et al. "
        "2022 (arXiv 2211.05102) report 0.33 for generation in large batches and 0.76 for reading prompts.",
    )  # fmt: skip
