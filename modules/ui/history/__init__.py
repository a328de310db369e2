"""The History tab: `fragments` is what it shows, `tab` what its controls do, `routes` where its pictures come from."""
