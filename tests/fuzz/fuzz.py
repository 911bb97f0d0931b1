"""Fuzz the readers of files by coverage (atheris): ``python tests/fuzz/fuzz.py [--seconds N] [TARGET...]``.

One process tries all targets given, or all there are; the first byte of an input chooses the target. Of a zip
container the members are mutated, not its bytes alone. A finding (an error that is not ragyena's own, or more than
``SLOW`` seconds of computing for one input) is kept as a file in ``--findings`` and the run goes on; the last lines
count inputs and findings by target, and the exit code is 1 where there is any finding.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLOW = 5.0
RSS_MB = 1000
LONGEST = 200_000
PLAIN_BYTES = 4096
"""Inputs that are no zip container do not grow beyond this: small ones are tried faster."""
MEMBER_BYTES = 2_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0 for another one each time")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "ragyena-fuzz")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        counts, *flags = json.loads(options.child)
        _fuzz(options.targets, options.findings, Path(counts), flags)
    options.findings.mkdir(parents=True, exist_ok=True)
    inputs: Counter[str] = Counter()
    ended = time.monotonic() + options.seconds
    died = 0
    with tempfile.TemporaryDirectory() as folder:
        corpus, counts = Path(folder, "corpus"), Path(folder, "counts.json")
        corpus.mkdir()
        while (left := int(ended - time.monotonic())) > 0:  # libFuzzer ends its process with a hang or too much memory
            command = [sys.executable, __file__, *options.targets, "--findings", str(options.findings)]
            flags = [f"-max_total_time={left}", f"-max_len={LONGEST}", f"-rss_limit_mb={RSS_MB}", "-timeout=60"]
            flags += [f"-seed={options.seed}"]
            flags += ["-detect_leaks=0", "-verbosity=0", f"-artifact_prefix={options.findings}/", str(corpus)]
            code = subprocess.run([*command, "--child", json.dumps([str(counts), *flags])], cwd=ROOT).returncode
            if counts.is_file():
                inputs.update(json.loads(counts.read_text()))
                counts.unlink()
            elif code:
                return code
            died += code != 0
    findings = Counter(path.name.partition("--")[0] for path in options.findings.glob("*--*"))
    for name in sorted(inputs):
        print(f"{name:24} {inputs[name]:10,} inputs {findings[name]:4} findings")
    print(f"{inputs.total():,} inputs, {findings.total()} findings, {died} ended processes; see {options.findings}")
    return int(bool(findings.total() or died))


def _fuzz(names: list[str], findings: Path, counts: Path, flags: list[str]) -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(Path(__file__).parent)]
    import atheris

    with (
        contextlib.redirect_stderr(io.StringIO()),  # it names every module
        atheris.instrument_imports(include=["ragyena.documents", "ragyena.parsing", "ragyena.data"]),
    ):
        from targets import targets

        chosen = [target for target in targets() if not names or target.name in names]
    corpus = Path(flags[-1])
    for number, target in enumerate(chosen):
        for i, seed in enumerate(target.seeds):
            (corpus / f"{target.name}-{i}").write_bytes(bytes([number]) + seed)
    inputs: Counter[str] = Counter()
    known: set[str] = set()
    written = time.monotonic()

    def one(data: bytes) -> None:
        nonlocal written
        target = chosen[data[0] % len(chosen) if data else 0]
        inputs[target.name] += 1
        began = time.process_time()
        try:
            target.run(data[1:])
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            keep(target.name, f"{type(error).__name__}-{Path(last.filename).stem}-{last.lineno}", data, error)
        if time.process_time() - began > SLOW:
            keep(target.name, "slow", data, None)
        if time.monotonic() - written > 1:
            written = time.monotonic()
            counts.write_text(json.dumps(inputs))

    def keep(name: str, kind: str, data: bytes, error: BaseException | None) -> None:
        if (key := f"{name}--{kind}") in known or len(known) > 200:
            return
        known.add(key)
        (findings / key).write_bytes(data[1:])
        print(f"finding: {key}", file=sys.stderr)
        if error is not None:
            (findings / f"{key}.txt").write_text("".join(traceback.format_exception(error))[-20_000:])

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        head, body = data[:1] or b"\0", data[1:]
        chance = random.Random(seed)
        if body[:2] == b"PK" and chance.random() < 0.9:
            body = _mutated_zip(body, chance, atheris.Mutate) or body
        else:
            body = atheris.Mutate(body, min(most - 1, max(PLAIN_BYTES, len(body))))
        return (head + body)[:most]

    atheris.Setup([sys.argv[0], *flags], one, custom_mutator=mutate)
    atheris.Fuzz()


def _mutated_zip(body: bytes, chance: random.Random, mutate) -> bytes | None:
    """The container with one member changed; None where it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [(item.filename, archive.open(item).read(MEMBER_BYTES)) for item in archive.infolist()[:200]]
    except Exception:
        return None
    if not members:
        return None
    texts = [i for i, (name, _) in enumerate(members) if name.endswith((".xml", ".rels", ".xhtml", ".opf", ".html"))]
    chosen = chance.choice(texts) if texts and chance.random() < 0.9 else chance.randrange(len(members))
    for _ in range(chance.choice((1, 1, 1, 4, 16))):
        name, content = members[chosen]
        members[chosen] = (name, _mutated_xml(content, chance) or mutate(content, len(content) + 64))
    if chance.random() < 0.02:
        del members[chance.randrange(len(members))]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def _mutated_xml(content: bytes, chance: random.Random) -> bytes | None:
    """Markup repeated, dropped, moved or with another number in it, so that most of it stays well-formed; None to
    have bytes mutated instead."""
    if chance.random() < 0.3:
        return None
    opens = [i for i in range(len(content)) if content[i : i + 1] == b"<"]
    if len(opens) < 3:
        return None
    a, b = sorted((chance.choice(opens), chance.choice(opens)))
    part = content[a:b]
    kind = chance.randrange(4)
    if kind == 0:
        return content[:b] + part[:5000] * chance.choice((1, 2, 20)) + content[b:]
    if kind == 1:
        return content[:a] + content[b:]
    if kind == 2:
        place = chance.choice(opens)
        return content[:place] + part[:5000] + content[place:]
    digits = [i for i in range(len(content)) if 48 <= content[i] <= 57]
    if not digits:
        return None
    i = chance.choice(digits)
    number = chance.choice((b"0", b"-1", b"99999", b"1000000000", b"1e9", b"NaN", b"", b"65536", b"9" * 30))
    return content[:i] + number + content[i + 1 :]


if __name__ == "__main__":
    sys.exit(main())
