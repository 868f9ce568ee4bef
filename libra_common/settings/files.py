"""Settings files: read with oslo.config, checked for names that nothing reads."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import cfg, iniparser

from libra_common.settings.sections import SECTIONS, Setting
from libra_common.settings.table import TABLE

Key = tuple[str, str]
"""Section and name of a setting."""


@dataclass(kw_only=True)
class Texts:
    """What files and command line say, before anything is understood.

    `texts` has a text for each setting of the table, `origins` where it comes from (a file, or
    "the command line"; nothing for a default). `faults` make the settings unusable, `doubts`
    are names that nothing reads and settings written twice.
    """

    texts: dict[Key, str] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def read(paths: Sequence[Path], given: Mapping[Key, str]) -> Texts:
    """Read the files in their order, later ones winning, and put `given` over them.

    `given` are the texts of the command line; they are taken literally, where in a file `$name`
    stands for another setting of the section and `$$` for a dollar sign. Never raises: what is
    wrong is in the result's `faults`.
    """
    result = Texts()
    readable = [path for path in paths if _inspect(path, result)]
    conf = cfg.ConfigOpts()
    for setting in TABLE:
        # All are texts to oslo.config: the table understands them, and tells all faults at once.
        conf.register_opt(
            cfg.StrOpt(setting.name, default=_literal(setting.default_text)),
            group=_group(setting),
        )
    try:
        conf(
            args=[],
            project="libra",
            prog="libra",
            default_config_files=[str(path) for path in readable],
            default_config_dirs=[],
            # Values from OS_* variables would be settings that no file and no option shows.
            use_env=False,
        )
    except cfg.Error as error:
        result.faults.append(str(error))
        return result
    for (section, name), text in given.items():
        group = None if section == "DEFAULT" else section
        conf.set_override(name, _literal(text), group=group)
        result.origins[section, name] = "the command line"
    for setting in TABLE:
        key = (setting.section, setting.name)
        if key in given:
            result.texts[key] = given[key]
            continue
        try:
            group = _group(setting)
            result.texts[key] = conf[setting.name] if group is None else conf[group][setting.name]
        except (cfg.Error, ValueError, RecursionError):
            result.faults.append(
                f"[{setting.section}] {setting.name}{_source(result, key)}: a $ must be followed"
                " by the name of another setting of its section ($$ is a dollar sign)"
            )
    return result


def _source(texts: Texts, key: Key) -> str:
    origin = texts.origins.get(key, "")
    return f" (from {origin})" if origin else ""


def _group(setting: Setting) -> str | None:
    return None if setting.section == "DEFAULT" else setting.section


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def _inspect(path: Path, result: Texts) -> bool:
    """Note which settings `path` holds, and which names it holds in vain."""
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except iniparser.ParseError as error:
        # Neither the parser's text nor the line itself: a secret may be written there.
        result.faults.append(f"{path}, line {error.lineno}: {error.msg}")
        return False
    except OSError as error:
        result.faults.append(f"{path}: cannot be read: {error.strerror}")
        return False
    except ValueError as error:
        result.faults.append(f"{path}: is not a text file: {error}")
        return False
    for written, entries in sections.items():
        section = written if written == "DEFAULT" else written.lower()
        if section not in SECTIONS:
            result.doubts.append(
                f"{path}: [{written}] is no section{_nearest(written, SECTIONS)}; ignored"
            )
            continue
        names = [setting.name for setting in TABLE if setting.section == section]
        for name, values in entries.items():
            if name not in names:
                result.doubts.append(
                    f"{path}: [{section}] {name} is no setting{_hint(name, section)}; ignored"
                )
                continue
            result.origins[section, name] = str(path)
            if len(values) > 1:
                result.doubts.append(
                    f"{path}: [{section}] {name} is set {len(values)} times; the last one counts"
                )
    return True


def _hint(name: str, section: str) -> str:
    here = [setting.name for setting in TABLE if setting.section == section]
    elsewhere = sorted({s.section for s in TABLE if s.name == name and s.section != section})
    if elsewhere:
        return f" here, but is one of [{elsewhere[0]}]"
    return _nearest(name, here)


def _nearest(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    by_fold = {word.lower(): word for word in known}
    folded = name.lower().replace("-", "_")
    found = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    return f", did you mean {by_fold[found[0]]}?" if found else ""
