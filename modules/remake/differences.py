"""What a picture says and what is here: one sentence for each difference, and a way out where there is one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modules.infotext import listed
from modules.model.checkpoint import Checkpoint
from modules.params import default
from modules.prompts.tags import cut_tags
from modules.remake.difference import Difference, Way
from modules.remake.fields import KEYS, SPECIAL
from modules.remake.here import Here
from modules.remake.maker import NEWEST, Maker
from modules.remake.partners import partner_differences


def differences(said: Mapping[str, Any], maker: Maker, values: Mapping[str, Any], here: Here) -> list[Difference]:
    """All of them, the weightiest first.

    Args:
        said: what `parse_infotext` read.
        values: the fields that were made of it.
    """
    case = _Case(said, maker, values, here)
    finders = (
        _other_picture, _model, _partners, _vae, _embeddings, _extra_networks, _upscaler, _noise, _release, _left_out,
    )  # fmt: skip
    return [difference for finder in finders for difference in finder(case)]


@dataclass(frozen=True)
class _Case:
    """What every finder looks at; see `differences`."""

    said: Mapping[str, Any]
    maker: Maker
    values: Mapping[str, Any]
    here: Here


def _other_picture(case: _Case) -> Iterator[Difference]:
    signs = {"Init image hash", "Mask blur", "Conditional mask weight", "Image CFG scale"}
    if signs & case.said.keys() or ("Denoising strength" in case.said and not case.values["enable_hr"]):
        yield Difference(
            "Made from a picture",
            "It was drawn over another picture (img2img), which its parameters do not hold. That part cannot be remade "
            "yet: Generate starts from noise and draws another picture.",
        )


def _model(case: _Case) -> Iterator[Difference]:
    wanted, name = str(case.said.get("Model hash", "")).lower(), str(case.said.get("Model", ""))
    called = " ".join(filter(None, [f"“{name}”" if name else "", f"[{wanted}]" if wanted else ""]))
    if not called or (case.here.checkpoint and _has_hash(case.here.checkpoint, wanted)):
        return
    now = f"“{case.here.checkpoint.title}” is in use" if case.here.checkpoint else "no model is loaded"
    fitting = [checkpoint for checkpoint in case.here.checkpoints if _has_hash(checkpoint, wanted)]
    if fitting:
        way = Way(f"Use {fitting[0].name}", checkpoint=fitting[0].title)
        yield Difference("Model", f"It was made with {called}, which is here; {now}.", (way,))
        return
    if len(wanted) == 8:
        yield from _old_model(called, wanted, now, case.here)
        return
    if not wanted and case.here.checkpoint and case.here.checkpoint.model_name == name:
        return
    unknown = [checkpoint for checkpoint in case.here.checkpoints if not checkpoint.sha256]
    namesakes = [checkpoint for checkpoint in unknown if checkpoint.model_name == name] if name else []
    ways = [Way(f"Use {checkpoint.name}", checkpoint=checkpoint.title) for checkpoint in namesakes[:2]]
    if wanted and unknown:
        ways.append(Way("Look into all models", hash_checkpoints=True))
    hint = (
        f"{len(unknown)} of the models here have not been looked into yet"
        if wanted and unknown
        else "no model here is the same. Put its file into models/Stable-diffusion and press refresh at the top"
    )
    yield Difference("Model", f"It was made with {called}; {now}, and {hint}.", tuple(ways))


def _old_model(called: str, wanted: str, now: str, here: Here) -> Iterator[Difference]:
    alike = [checkpoint for checkpoint in here.checkpoints if checkpoint.old_hash == wanted]
    if here.checkpoint and here.checkpoint.old_hash == wanted:
        text = f"It was made with {called}. “{here.checkpoint.name}” has the same mark of 2022"
        ways = tuple(Way(f"Use {c.name}", checkpoint=c.title) for c in alike[:3] if c.path != here.checkpoint.path)
    elif alike:
        text = f"It was made with {called}, and a model with this mark of 2022 is here; {now}"
        ways = tuple(Way(f"Use {checkpoint.name}", checkpoint=checkpoint.title) for checkpoint in alike[:3])
    else:
        yield Difference(
            "Model",
            f"It was made with {called}; {now}, and no model here has this mark. Put the file into "
            "models/Stable-diffusion and press refresh at the top.",
        )
        return
    yield Difference("Model", f"{text}; but different models share these 8 digits, so it may be another one.", ways)


def _partners(case: _Case) -> Iterator[Difference]:
    return partner_differences(case.said, case.values, case.here.checkpoints)


def _has_hash(checkpoint: Checkpoint, wanted: str) -> bool:
    return len(wanted) >= 10 and bool(checkpoint.sha256) and checkpoint.sha256.startswith(wanted)


def _vae(case: _Case) -> Iterator[Difference]:
    name, wanted = str(case.said.get("VAE", "")), str(case.said.get("VAE hash", "")).lower()[:10]
    if name in ("", "None", "Automatic") and not wanted:
        return
    called = f"“{name}”" if name else f"[{wanted}]"
    taken, digits = case.values["vae"], case.here.vaes.get(case.values["vae"], "")
    if taken not in case.here.vaes:
        text = f"Its VAE {called} is not here: colours and small details may differ. Put the file into models/VAE."
        yield Difference("VAE", text)
    elif wanted and digits and not digits.startswith(wanted):
        yield Difference("VAE", f"Another VAE is called {called} here: colours and small details may differ.")


def _embeddings(case: _Case) -> Iterator[Difference]:
    for entry in str(case.said.get("TI hashes", "")).split(","):
        name, _, wanted = (part.strip() for part in entry.rpartition(":"))
        if not name:
            continue
        found = case.here.embeddings.get(name) or next(
            (digits for other, digits in case.here.embeddings.items() if listed(other) == name), None
        )
        if found and (not wanted or found.startswith(wanted) or wanted.startswith(found)):
            continue
        twins = [other for other, digits in case.here.embeddings.items() if wanted and digits.startswith(wanted[:12])]
        if twins:
            fields = {key: str(case.values[key]).replace(name, twins[0]) for key in ("prompt", "negative_prompt")}
            way = Way(f"Write {twins[0]} in the prompt", fields=fields)
            yield Difference("Embedding", f"“{name}” is called “{twins[0]}” here.", (way,))
        elif found:
            yield Difference(
                "Embedding",
                f"“{name}” is here, but with other vectors [{found}], not those of the picture [{wanted}]: perhaps it "
                "was trained on. Put the file of then into embeddings/ under another name.",
            )
        else:
            yield Difference(
                "Embedding",
                f"“{name}” [{wanted}] is not here, or does not fit the model in use: its name counts as plain words. "
                "Put its file into embeddings/.",
            )


def _extra_networks(case: _Case) -> Iterator[Difference]:
    _, tags = cut_tags(str(case.values["prompt"]))
    kinds = {"lora": "LoRA", "lyco": "LoRA", "hypernet": "Hypernetwork"}
    found: dict[str, list[str]] = {}
    for tag in tags:
        if tag.kind in kinds and tag.arguments:
            found.setdefault(kinds[tag.kind], []).append(tag.arguments[0])
    if "Lora hashes" in case.said:
        found.setdefault("LoRA", [str(case.said["Lora hashes"])])
    for kind, called in found.items():
        text = f"It uses {', '.join(called)}. A {kind} cannot be used here yet: its part will be missing."
        yield Difference(kind, text)


def _upscaler(case: _Case) -> Iterator[Difference]:
    name = case.values.get("hr_upscaler")
    if not case.values["enable_hr"] or not case.here.upscalers or name in case.here.upscalers:
        return
    ways = [Way(f"Use {option}", fields={"hr_upscaler": option}) for option in ("Lanczos", "Latent")]
    yield Difference(
        "Upscaler",
        f"“{name}” enlarged it for the second pass, and is not here. Take another, or put its file into models/ESRGAN.",
        tuple(way for way in ways if way.fields["hr_upscaler"] in case.here.upscalers),
    )


def _noise(case: _Case) -> Iterator[Difference]:
    if (
        case.maker.ours
        or case.values.get("randn_source") != "NV"
        or case.said.get("RNG") == "NV"
        or "Steps" not in case.said
    ):
        return
    yield Difference(
        "Random numbers",
        "It does not say where its noise came from; most often that was an NVIDIA card, whose numbers are computed "
        "here. If it was made on a Mac or without a graphics card, take those of the CPU.",
        (Way("Use the CPU’s", fields={"randn_source": "CPU"}),),
        harmless=True,
    )


def _release(case: _Case) -> Iterator[Difference]:
    switched = {
        "downcast_alphas": "rounded noise levels",
        "old_timelines": "prompt editing counted as before 1.6",
        "old_edit_steps": "prompts changed at the steps of 2022",
        "pad_conds_v0": "prompts padded as before 1.6",
        "all_timesteps": "every step taken, as before 1.6",
        "a1111_exact": "the prompt read exactly as A1111 reads it",
        "sigma_max": "the Karras schedule of 2022",
        "keep_penultimate": "last steps spaced as in 2022",
        "comments": "a # read as text, as in 2022",
        "breaks": "BREAK read as a word, as in 2022",
        "refiner_by_steps": "the refiner’s place counted in steps, as before 1.9",
    }
    maker = case.maker
    on = [name for name in switched if case.values.get(name, default(name)) != default(name) and not maker.ours]
    if on:
        who = f"It was made by {maker.version:.40}" if maker.version else "It names no version, as until 2023"
        back = {name: default(name) for name in (*on, *(["sigma_min"] if "sigma_max" in on else []))}
        words = ", ".join(switched[name] for name in on)
        text = f"{who}. Its rules are switched on for this picture: {words}."
        yield Difference("Version", text, (Way("Use today’s rules", fields=back),), harmless=True)
    elif maker.release and maker.release > NEWEST and not maker.ours:
        newest = "v" + ".".join(map(str, NEWEST))
        yield Difference("Version", f"It was made by {maker.version:.40}, and here the rules of {newest} hold.")
    elif maker.version and maker.release is None:
        text = f"Another program made it (version {maker.version:.40}), which may do some things in its own way."
        yield Difference("Version", text)


# Keys that say nothing about the pixels, or something that other differences have told.
_TOLD = {
    *KEYS, *SPECIAL, "Model", "Model hash", "VAE hash", "TI hashes", "Lora hashes", "Version", "User", "Interrupted",
    "Batch size", "Batch pos", "Script", "Hypernet", "Hypernet strength", "Mask blur", "Init image hash",
    "Conditional mask weight", "Image CFG scale", "Mask mode", "Masked content", "Inpaint area", "Masked area padding",
    "VAE Encoder", "VAE Decoder", "FP8 weight", "Cache FP16 weight for LoRA", "Styles", "Used embeddings",
}  # fmt: skip
_CANNOT = {
    "Face restoration": "faces repaired by another network",
}


def _left_out(case: _Case) -> Iterator[Difference]:
    parts = [f"{text} ({case.said[key]})" for key, text in _CANNOT.items() if key in case.said]
    if case.said.get("FP8 weight", "Disable") != "Disable":
        parts.append("weights in 8 bits")
    if any(case.said.get(f"VAE {part}", "Full") != "Full" for part in ("Encoder", "Decoder")):
        parts.append("a quick replacement of the VAE")
    if parts:
        yield Difference("Cannot be remade yet", f"It has {', '.join(parts)}.")
    unknown = [key for key in case.said if key not in _TOLD and key not in _CANNOT]
    unknown = [key for key in unknown if not key.startswith(("X ", "Y ", "Z ", "Fixed ", "Postprocess"))]
    if unknown:
        shown = ", ".join(f"{key}: {case.said[key]!s:.40}" for key in unknown[:6])
        more = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
        yield Difference("Not known here", f"{shown}{more}. Whether they change the picture cannot be told.")
