"""Defines the settings `pool.energy`, which convert compute to energy. The default is null: energy is estimated only if
the user has confirmed the assumptions."""

from __future__ import annotations

from pydantic import Field

from gra.settings import Settings


class EnergySettings(Settings):
    """Assumptions of the energy estimate (formulas: gra/synthesis/output/cost.py). `pool.energy={}` uses the defaults: H100 SXM5
    GPUs at full board power, which is more than they usually draw, in an average data centre."""

    board_watts: float = Field(
        700.0, gt=0, description="Power of a GPU in W. 700: H100 SXM5's limit (NVIDIA's data sheet)."
    )
    pue: float = Field(
        1.56, ge=1, description="Power usage effectiveness of the data centre. 1.56: Uptime Institute 2024."
    )
    peak_tflops: float = Field(
        989.0, gt=0, description="Dense TFLOP/s of a GPU. 989: H100 SXM5, bfloat16 (data sheet)."
    )
    utilisation: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Fraction of the peak that serving reaches, for runs whose GPU-seconds are unknown. 0.3: an assumption; "
        "Pope et al. "
        "2022 (arXiv 2211.05102) report 0.33 for generation in large batches and 0.76 for prefill.",
    )
