"""`./webui.sh png-info`: the parameters that a picture carries."""

from collections.abc import Sequence

from modules import images
from modules.cli.arguments import Parser, existing_picture
from modules.cli.following import tell
from modules.files import typed_path
from modules.infotext import parse_infotext


def run(arguments: Sequence[str]) -> int:
    """Print them. Returns the exit code."""
    parser = Parser("png-info", "Print the parameters that a picture carries, as JSON.")
    parser.add_argument("file", type=typed_path, help="PNG, JPEG, WebP, AVIF or GIF")
    file = existing_picture(parser.parse_args(arguments).file)
    infotext = images.read_infotext(file)
    parameters = parse_infotext(infotext) if infotext else {}
    tell({"infotext": infotext, "parameters": parameters, "items": images.read_items(file)})
    return 0
