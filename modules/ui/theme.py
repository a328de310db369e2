"""Colours, type and spacing: one Gradio theme, beside the style sheets of `assets`.

Neutral greys, one accent, the system's own fonts, corners of 8 px, distances in steps of 8 px.
"""

from gradio.themes import Base, Color, Font, Size, colors, sizes

_ACCENT = Color(
    c50="#f1f3fd",
    c100="#e2e6fb",
    c200="#c9d0f7",
    c300="#a8b2f0",
    c400="#8490e6",
    c500="#6470d8",
    c600="#4c56c4",
    c700="#3f479f",
    c800="#353c80",
    c900="#2e3366",
    c950="#1c1f3d",
    name="accent",
)


def make_theme() -> Base:
    """The theme of all pages, for light and dark."""
    theme = Base(
        primary_hue=_ACCENT,
        secondary_hue=_ACCENT,
        neutral_hue=colors.zinc,
        font=[Font(name) for name in ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")],
        font_mono=[Font(name) for name in ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")],
        text_size=sizes.text_sm,
        spacing_size=sizes.spacing_sm,
        radius_size=Size("2px", "4px", "6px", "8px", "8px", "8px", "8px", name="radius_8"),
    )
    return theme.set(
        body_background_fill="#fafafa",
        body_background_fill_dark="#131316",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1c1c20",
        input_border_color="#8e8e98",  # 3:1 to what is around it, as a control needs
        input_border_color_dark="#67676f",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        input_shadow="none",
        input_shadow_focus="0 0 0 1px *primary_500",
        input_shadow_focus_dark="0 0 0 1px *primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        layout_gap="16px",
        form_gap_width="0px",
    )
