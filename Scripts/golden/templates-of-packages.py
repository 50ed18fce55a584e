#!/usr/bin/env python3
"""Renders the chat templates of Python packages with Jinja2 and with chat, and writes docs/templates.md.

Needs Jinja2, pip and a built chat; run from anywhere. The packages are downloaded, unpacked and not
installed. Of a system message that a template refuses or leaves out, chat puts the text before that of
the first user; so does this script for Jinja2.
"""
import argparse, ast, datetime, json, pathlib, platform, subprocess, sys, tarfile, tempfile, zipfile

import jinja2

import hugging_face

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = {"trl": "1.16.0", "axolotl": "0.19.0", "llama-cpp-python": "0.3.36"}


def message(role, content):
    return {"role": role, "content": content}


CONVERSATIONS = {
    "user": [message("user", "Hello")],
    "system": [message("system", "Be brief."), message("user", "Hi")],
    "turns": [message("user", "Hi"), message("assistant", "Hello."), message("user", "And now?")],
    "system and turns": [
        message("system", " Be brief.\n"), message("user", "Hi"), message("assistant", "Hello."),
        message("user", "And now?"), message("assistant", "Done."), message("user", "More")],
    "thoughts": [
        message("user", "2+2?"), message("assistant", "<think>\nit is\n</think>\n\n4"), message("user", "sure?")],
    "thoughts at the end": [message("user", "2+2?"), message("assistant", "<think>it is</think>4")],
    "unicode": [message("user", "Grüße, 東京! 🦙 e\u0301"), message("assistant", "straße ﬁ"), message("user", "b")],
    "blanks": [message("user", "  Hi \n"), message("assistant", "\n Hello. \t"), message("user", " x ")],
}


def download(folder):
    """The files of the packages by name, from wheels or source archives."""
    for name, version in PACKAGES.items():
        if not any(name.replace("-", "_") in path.name.replace("-", "_") for path in folder.iterdir()):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
            # The wheel of llama-cpp-python has no templates of llama.cpp.
            source = ["--no-binary", name] if name == "llama-cpp-python" else []
            subprocess.run(command + source + [f"{name}=={version}"], check=True)
    for path in sorted(folder.iterdir()):
        package = next((name for name in PACKAGES if path.name.replace("-", "_").startswith(name.replace("-", "_"))), None)
        if package is None:
            continue
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith(".jinja"):
                        yield package, name, archive.read(name)
        else:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.name.endswith((".jinja", "llama_chat_format.py")):
                        yield package, member.name.partition("/")[2], archive.extractfile(member).read()


def templates(folder):
    """Each distinct template with the package and names that have it."""
    found = {}
    for package, name, content in download(folder):
        text = content.decode("utf-8")
        if name.endswith(".jinja"):
            found.setdefault(text, []).append((package, name))
            continue
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
                variable = statement.targets[0].id
                if variable.endswith("_CHAT_TEMPLATE"):
                    found.setdefault(statement.value.value, []).append((package, f"{name}: {variable}"))
    return found


def expected(source, messages, tokens):
    """What Jinja2 makes of a conversation, with the system's text moved where chat moves it."""
    def render(messages):
        return hugging_face.render(source, messages, datetime.datetime.now(), True, *tokens)

    result = render(messages)
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    if system is None or system.strip() in result.get("text", ""):
        return result
    if "error" in result and not result["error"].startswith("TemplateError"):
        return result
    folded = [dict(item) for item in messages[1:]]
    first = next(item for item in folded if item["role"] == "user")
    first["content"] = system + "\n\n" + first["content"]
    return render(folded)


def verdict(source, chat, model, tokens, folder):
    """One line about a template, and whether it is as wanted."""
    (folder / "template.jinja").write_text(source, encoding="utf-8", newline="")
    different, refused, reason, equal = [], [], "", 0
    for name, messages in CONVERSATIONS.items():
        (folder / "messages.json").write_text(json.dumps(messages), encoding="utf-8")
        run = subprocess.run(
            [chat, "-m", model, "--template-file", folder / "template.jinja", "--messages", folder / "messages.json",
             "--show-prompt"], capture_output=True)
        wanted = expected(source, messages, tokens)
        if "error" in wanted:
            (refused if run.returncode != 0 else different).append(name)
            reason = wanted["error"]
        elif run.returncode == 0 and run.stdout.decode("utf-8") == wanted["text"]:
            equal += 1
        else:
            different.append(name)
            reason = run.stderr.decode("utf-8").strip() or "another text"
    if different:
        return f"differs for {', '.join(different)}: {reason}", False
    if refused:
        reason = " ".join(reason.split()).replace("|", "\\|")
        every = "every conversation" if not equal else ", ".join(refused)
        return f"{'equal; ' if equal else ''}Jinja2 fails for {every}: {reason[:120]}", True
    return "equal", True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", help="a folder for the downloaded packages")
    parser.add_argument("--chat", default=str(ROOT / ".build/release/chat"), help="the program chat")
    arguments = parser.parse_args()
    model = ROOT / "models/stories"
    configuration = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokens = (configuration["bos_token"], configuration["eos_token"])
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        cache = pathlib.Path(arguments.cache) if arguments.cache else work / "packages"
        cache.mkdir(parents=True, exist_ok=True)
        rows, failed = {package: [] for package in PACKAGES}, 0
        for source, places in templates(cache).items():
            line, good = verdict(source, arguments.chat, model, tokens, work)
            failed += not good
            package, name = places[0]
            others = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
            rows[package].append(f"| `{name}`{others} | {line} |")
    count = sum(map(len, rows.values()))
    page = [
        "# Chat templates", "",
        f"What `chat` makes of the {count} distinct chat templates in three Python packages, compared with Jinja2 "
        f"{jinja2.__version__} as transformers sets it up. \"Equal\" means that all {len(CONVERSATIONS)} plain "
        "conversations, with and without a system message, thoughts, blanks and unusual letters, give the same text. Where "
        "Jinja2 fails, `chat` fails as well. This page is written by `Scripts/golden/templates-of-packages.py`.", "",
        "Of a system message that a template refuses or leaves out, `chat` puts the text before that of the first user. "
        "What is not supported fails only when a conversation reaches it: the tags `include`, `import`, `extends`, "
        "`trans` and `autoescape`, the filters `random`, `pprint`, `filesizeformat`, `striptags`, `urlencode`, `urlize`, "
        "`wordwrap` and `xmlattr`, the function `lipsum`, the methods `encode` and `translate`, and integers beyond 64 "
        "bits.", ""]
    for package, lines in rows.items():
        page += [f"## {package} {PACKAGES[package]}", "", "| template | result |", "|---|---|"] + sorted(lines) + [""]
    (ROOT / "docs/templates.md").write_text("\n".join(page), encoding="utf-8")
    print(f"{count} templates, {failed} of them rendered otherwise; Python {platform.python_version()}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
