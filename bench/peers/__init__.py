"""One module a way of making the file: a message in, bytes of the file out.

Each is what someone who knows the library would write first and then make quick by its manual.
"""
