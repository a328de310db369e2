"""The HTTP interface that programs made for AUTOMATIC1111 speak: `/sdapi/v1/…`, on with `--api`.

server     everything put on a web server        table      A1111's names and ours, in one place
requests   what may be sent, made from the dataclasses   answers    what comes back
host       what all routes share                 route      strict JSON in, one form of error out
edge       time, log                             errors     from an error to its status
pictures   base64 and back                       absent     what is not here, with a sentence
asked_for  what a txt2img request means           told     what is told of its pictures
always_on  fields of it in another way
txt2img  scripts  progress  options  lists  embeddings  png_info  jobs  machine  docs: one group of routes each

Names, defaults and answers are A1111's; only here they are translated. Requests wait in worker threads, their work in
the one queue that the page uses too.
"""
