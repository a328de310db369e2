"""Every picture made is found again: an index over a folder of pictures, rebuilt from the files' own metadata.

record      what one picture says of itself        words       what is typed → conditions of SQL
index       records in SQLite, searched            thumbnails  small copies, made when they are first looked at
stars       the marks a user sets                  history     all of it: scanned, starred, put into the trash

The files are the truth. Index and thumbnails lie in the data folder's cache/ and may be deleted at any time; stars are
a file of their own.
"""
