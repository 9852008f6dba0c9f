"""``LanguageModel``, as the browser has it. Imported inside a page only.

The standard gives it to windows. Our page lends its window's to its worker (``web/page/model.js``),
so this module speaks to the same thing wherever it runs. A call that is let go destroys its
session, and with that the browser stops thinking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import js
import msgspec
from pyodide.ffi import JsException

from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm.built_in.asking import Asked
from meerkat_mob.llm.built_in.failures import Fault, absent, failure, unavailable


async def speak(question: Asked) -> AsyncGenerator[str | Usage, None]:
    """See ``client.Speak``. Raises ``LlmFailed``."""
    try:
        async with _session(question) as session:
            before = await _read_so_far(session, question.now)
            reader = session.promptStreaming(question.now, _held_to(question.form)).getReader()
            while not (piece := await reader.read()).done:
                yield str(piece.value)
            if (usage := _usage(before, session)) is not None:
                yield usage
    except JsException as fault:
        raise failure(_told(fault)) from fault


@asynccontextmanager
async def _session(question: Asked) -> AsyncGenerator[Any, None]:
    model = getattr(js, "LanguageModel", None)
    if model is None:
        raise absent()
    options: dict[str, object] = dict(question.options)
    if await model.availability(_object(options)) == "unavailable":
        raise unavailable()
    options["initialPrompts"] = question.before
    creating = asyncio.ensure_future(model.create(_object(options)))
    try:
        session = await asyncio.shield(creating)
    except asyncio.CancelledError:  # it may still come, and then nobody wants it
        creating.add_done_callback(_unwanted)
        raise
    try:
        yield session
    finally:
        session.destroy()


def _unwanted(creating: asyncio.Future[Any]) -> None:
    if not creating.cancelled() and creating.exception() is None:
        creating.result().destroy()


def _held_to(form: JsonObject | None) -> Any:
    """The form of the answer; its words are in the conversation already."""
    how = {} if form is None else {"responseConstraint": form, "omitResponseConstraintInput": True}
    return _object(how)


async def _read_so_far(session: Any, text: str) -> float | None:
    """Tokens that the model has read when it begins to answer; None when nobody counts them."""
    measure = _either(session, "measureContextUsage", "measureInputUsage")
    used = _either(session, "contextUsage", "inputUsage")
    if measure is None or used is None:
        return None
    try:
        asked = await measure(text)
    except JsException:  # who cannot count may answer all the same
        return None
    return used + asked if isinstance(asked, int | float) else None


def _usage(before: float | None, session: Any) -> Usage | None:
    after = _either(session, "contextUsage", "inputUsage")
    if before is None or after is None:
        return None
    return Usage(input_tokens=round(before), output_tokens=max(0, round(after - before)))


def _either(session: Any, name: str, older: str) -> Any:
    """What the standard has renamed, and browsers still have by one name or the other."""
    found = getattr(session, name, None)
    return getattr(session, older, None) if found is None else found


def _told(fault: JsException) -> Fault:
    told: Any = getattr(fault, "js_error", fault)
    sizes = {name: getattr(told, name, None) for name in ("requested", "quota")}
    known = {k: float(v) for k, v in sizes.items() if isinstance(v, int | float)}
    return Fault(name=str(getattr(told, "name", "Error")), message=str(told.message), **known)


def _object(options: object) -> Any:
    """As JSON has it: a null stays one."""
    return js.JSON.parse(msgspec.json.encode(options).decode())
