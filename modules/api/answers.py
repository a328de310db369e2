"""What comes back, with A1111's keys."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class ErrorAnswer(_Answer):
    """Every refusal and failure."""

    error: str
    detail: str
    body: str
    errors: str


class Txt2ImgAnswer(_Answer):
    """Pictures as base64, in the format that `samples_format` says, with their parameters inside; the overview first if
    there is one, in that format too."""

    images: list[str]
    parameters: dict[str, Any]
    info: str


class PngInfoAnswer(_Answer):
    """What a picture says about itself."""

    info: str
    items: dict[str, Any]
    parameters: dict[str, Any]


class State(_Answer):
    """Where the running job stands, in A1111's words."""

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class ProgressAnswer(_Answer):
    """How far the running job is; nothing runs: 0."""

    progress: float
    eta_relative: float
    state: State
    current_image: str | None = None
    textinfo: str | None = None
    current_task: str | None = None


class TaskProgressAnswer(_Answer):
    """How far one job is."""

    active: bool
    queued: bool
    completed: bool
    progress: float | None = None
    eta: float | None = None
    live_preview: str | None = None
    id_live_preview: int | None = None
    textinfo: str | None = None


class PendingTasks(_Answer):
    """The running job and those that wait."""

    size: int
    tasks: list[str]


class SamplerItem(_Answer):
    name: str
    aliases: list[str]
    options: dict[str, str]


class SchedulerItem(_Answer):
    name: str
    label: str
    aliases: list[str] | None
    default_rho: float
    need_inner_model: bool


class UpscalerItem(_Answer):
    name: str
    model_name: str | None = None
    model_path: str | None = None
    model_url: str | None = None
    scale: float | None = None


class NameItem(_Answer):
    name: str


class ModelItem(_Answer):
    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None = None


class VaeItem(_Answer):
    model_name: str
    filename: str


class PathItem(_Answer):
    name: str
    path: str | None


class StyleItem(_Answer):
    name: str
    prompt: str | None
    negative_prompt: str | None


class EmbeddingItem(_Answer):
    step: int | None
    sd_checkpoint: str | None
    sd_checkpoint_name: str | None
    shape: int
    vectors: int


class EmbeddingsAnswer(_Answer):
    """Embeddings that act in prompts of the model in use, and the others."""

    loaded: dict[str, EmbeddingItem]
    skipped: dict[str, EmbeddingItem]


class InfoAnswer(_Answer):
    info: str


class TrainAnswer(_Answer):
    """How a training run ended."""

    info: str
    job: str


class Accepted(_Answer):
    """The job that does what was asked."""

    job: str


class JobAnswer(_Answer):
    """One job. Times are seconds since 1970, 0 = not yet."""

    id: str
    task_id: str
    title: str
    state: str
    created: float
    started: float
    ended: float
    elapsed: float
    progress: float
    seconds_left: float | None


class JobEventsAnswer(JobAnswer):
    """A job with its events since `since`; ask with `next` for what comes after them."""

    events: list[dict[str, Any]]
    next: int


class ScriptsAnswer(_Answer):
    txt2img: list[str]
    img2img: list[str]


class ScriptArgument(_Answer):
    label: str | None = None
    value: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: list[str] | None = None


class ScriptItem(_Answer):
    name: str
    is_alwayson: bool
    is_img2img: bool
    args: list[ScriptArgument]


class SysInfoAnswer(_Answer):
    """What a report of a fault should say."""

    Platform: str
    Python: str
    Version: str
    Checkpoint: str
    Device: str
    RAM: dict[str, Any]
    CUDA: dict[str, Any]
    Packages: dict[str, str]


class MemoryAnswer(_Answer):
    ram: dict[str, Any]
    cuda: dict[str, Any]
