"""What a script makes of one form: many runs, and a sheet of their pictures. Names and labels are A1111's."""

from dataclasses import dataclass

from modules.params import check_all, parameter

NONE, XYZ, MATRIX, LINES = "None", "X/Y/Z plot", "Prompt matrix", "Prompts from file or textbox"
SCRIPTS = (NONE, XYZ, MATRIX, LINES)
NOTHING = "Nothing"  # an axis that is not used
AXES = (
    NOTHING, "Seed", "Var. seed", "Var. strength", "Steps", "CFG Scale", "Prompt S/R", "Prompt order", "Embedding",
    "Embedding step", "Sampler", "Schedule type", "Size", "Checkpoint name", "VAE", "Clip skip", "Styles",
    "Hires upscaler", "Hires steps", "Hires scale", "Hires sampler", "Hires schedule type", "Denoising", "Extra noise",
    "Eta", "Eta for DDIM", "Sigma Churn", "Sigma min", "Sigma max", "Sigma noise", "Schedule min sigma",
    "Schedule max sigma", "Schedule rho", "Beta schedule alpha", "Beta schedule beta",
    "Negative Guidance minimum sigma", "Refiner checkpoint", "Refiner switch at", "ENSD", "RNG",
    "UniPC Order", "Token merging ratio", "Token merging ratio high-res", "Always discard next-to-last sigma",
    "SGM noise multiplier",
)  # fmt: skip
VALUES_HELP = "Values with commas: 1, 2, 3. Ranges: 1-5, 1-10 (+3), 1-10 [5]. A value with a comma stands in quotes."


@dataclass(frozen=True)
class ScriptParams:
    """Which script, and its fields; those of other scripts count for nothing.

    Raises:
        ParameterError: a value that cannot be used, naming the field.
    """

    script: str = parameter(NONE, "Script", choices=SCRIPTS)
    x_type: str = parameter(NOTHING, "X type", choices=AXES)
    x_values: str = parameter("", "X values")
    y_type: str = parameter(NOTHING, "Y type", choices=AXES)
    y_values: str = parameter("", "Y values")
    z_type: str = parameter(NOTHING, "Z type", choices=AXES)
    z_values: str = parameter("", "Z values")
    draw_legend: bool = parameter(True, "Draw legend")
    keep_seeds: bool = parameter(False, "Keep -1 for seeds", info="Otherwise one random seed holds for all.")
    vary_seeds_x: bool = parameter(False, "Vary seeds for X", info="One seed further for each value.")
    vary_seeds_y: bool = parameter(False, "Vary seeds for Y")
    vary_seeds_z: bool = parameter(False, "Vary seeds for Z")
    include_sub_images: bool = parameter(True, "Include sub images", info="Every picture beside the sheet.")
    include_sub_grids: bool = parameter(False, "Include sub grids", info="A sheet for each Z value as well.")
    margin_size: int = parameter(0, "Grid margins (px)", minimum=0, maximum=500, step=2)
    put_at_start: bool = parameter(False, "Put variable parts at start of prompt")
    different_seeds: bool = parameter(False, "Use different seed for each picture")
    vary_negative: bool = parameter(False, "Vary the negative prompt")
    space_between: bool = parameter(False, "Join parts with a space", info="Otherwise with a comma.")
    prompt_lines: str = parameter(
        "", "Prompts, one a line", info='A prompt, or flags: --prompt "a cat" --steps 10 --cfg_scale 5 --seed 3.'
    )
    iterate_seeds: bool = parameter(False, "Iterate seed every line")
    same_seed: bool = parameter(False, "Use same random seed for all lines")
    prompt_position: str = parameter(
        "none", "Join each line with the prompt above", choices=("none", "start", "end"), info="Where the line goes."
    )

    def __post_init__(self) -> None:
        check_all(self)
