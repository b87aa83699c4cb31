"""Objects through a web framework: in and out, however large, a piece at a time.

``aiocos.web.starlette`` is for Starlette and FastAPI, ``aiocos.web.aiohttp`` for aiohttp.web.
Both have ``object_response`` and ``receive_object``. Import the one that you use: nothing
else of aiocos does.

**Who may read or write which key is for your handler to decide.** A key that comes from a
request is passed on as it is, ``..`` and all: to COS it is a name like any other and leads
nowhere else, but it may be the name of somebody else's object. Check it, or put a prefix of
your own in front.

**What others uploaded runs under your name.** A page or an SVG served from your origin may
hold scripts: give ``Headers={"Content-Disposition": "attachment"}``, or serve from another
origin.
"""
