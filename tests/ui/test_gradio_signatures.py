import inspect

from gradio.blocks import Block

from modules.ui.gradio_signatures import tell_signatures


def constructors() -> list:
    kinds, found = [Block], []
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found += [vars(kind)["__init__"]] if "__init__" in vars(kind) else []
    return found


def test_signatures_are_the_same_and_not_found_out_again() -> None:
    found_out = [inspect.Signature.from_callable(inspect.unwrap(one), follow_wrapped=False) for one in constructors()]
    named = [inspect.getfullargspec(inspect.unwrap(one)) for one in constructors()]
    assert len(found_out) > 60
    tell_signatures()
    assert [inspect.signature(one) for one in constructors()] == found_out
    assert [inspect.getfullargspec(inspect.unwrap(one)) for one in constructors()] == named
    for one in constructors():
        assert inspect.signature(one) is inspect.signature(one), "told, not made anew"
        assert "__signature__" in vars(inspect.unwrap(one)), "Gradio asks for the names of this one too"
