"""Markup that must never act, whichever text of a user's it stands in."""

HOSTILE = (
    "<script>alert('xss')</script>",
    "<img src=x onerror=alert('xss')>",
    "\"><svg onload=alert('xss')>",
    "'-alert('xss')-'",
    '" onmouseover="alert(1)" x="',
    "</textarea></div></style></script><iframe srcdoc='<script>parent.alert(1)</script>'>",
    "<a href=\"javascript:alert('xss')\">x</a>",
    "${alert('xss')} {{alert('xss')}} {{{value}}} `${1}`",
    "<em>(bold:1.3)</em> [<q>a</q>|<u>b</u>] [<s>c</s>:<mark>d</mark>:0.5]",
    "&lt;img src=x onerror=alert(1)&gt; &lt;script&gt;",
    "<style>*{display:none}</style><!--",
)
"""Texts for prompts, names, infotext and sentences."""

FORBIDDEN_ATTRIBUTES = ("onerror", "onload", "onmouseover", "srcdoc", "href")
"""Attributes that act, and that no fragment of ours has."""
