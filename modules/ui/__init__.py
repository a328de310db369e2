"""The page: gradio lives here and nowhere else. `server` answers requests, `page` says what each control does."""
