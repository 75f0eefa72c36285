"""Prints the licences of everything that is compiled into the program.

    deploy/licences.py TARGET > LICENSES-OF-DEPENDENCIES.txt

What is in it, `cargo metadata` knows; the texts are in the packages that cargo
has fetched. Each text is printed once, with the packages that it belongs to. A
package without a text is listed with what it says of its licence. A package that
says nothing and has no text is an error.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = "evenkeel"
TEXT = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
# Sources in these are no texts.
CODE = {".rs", ".c", ".h", ".py", ".go", ".pl", ".S", ".cmake"}
# Libraries of others lie that deep in a package.
DEPTH = 2
# Longer files are no licences.
MAX_BYTES = 256 * 1024


def metadata(target):
    """The packages of the workspace, for one target, without the network."""
    command = [
        "cargo", "metadata", "--format-version=1", "--locked", "--offline",
        "--filter-platform", target,
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def used(graph):
    """What the program is built from and with, without what only tests need."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    packages = {package["id"]: package for package in graph["packages"]}
    members = set(graph["workspace_members"])
    todo = [id for id in members if packages[id]["name"] == PROGRAM]
    seen = set()
    while todo:
        id = todo.pop()
        if id in seen:
            continue
        seen.add(id)
        for dependency in nodes[id]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return sorted(
        (packages[id] for id in seen - members),
        key=lambda package: (package["name"], package["version"]),
    )


def texts(package):
    """The texts in a package: where they are, and what they say."""
    root = Path(package["manifest_path"]).parent
    for directory, below, files in os.walk(root):
        depth = len(Path(directory).relative_to(root).parts)
        below[:] = sorted(below) if depth < DEPTH else []
        for file in sorted(files):
            path = Path(directory, file)
            if TEXT.match(file) and path.suffix not in CODE and path.stat().st_size <= MAX_BYTES:
                text = path.read_text(encoding="utf-8", errors="replace")
                yield path.relative_to(root), text.replace("\r\n", "\n").strip()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    packages = used(metadata(sys.argv[1]))
    owners, silent, faults = {}, [], []
    for package in packages:
        label = f"{package['name']} {package['version']}"
        found = False
        for path, text in texts(package):
            owners.setdefault(text, []).append(f"{label} ({path})")
            found = True
        if not found:
            silent.append(label)
            if not package["license"]:
                faults.append(label)
    if faults:
        sys.exit(f"no licence is known of: {', '.join(faults)}")

    print(f"Licences of the {len(packages)} packages that Evenkeel is built from.\n")
    for package in packages:
        licence = package["license"] or "see its text"
        print(f"  {package['name']} {package['version']}: {licence}")
    if silent:
        print("\nThese packages bring no text of their licence:\n")
        print("\n".join(f"  {label}" for label in silent))
    for text, labels in owners.items():
        print(f"\n{'=' * 79}\n")
        print("\n".join(labels))
        print(f"\n{'-' * 79}\n\n{text}")


if __name__ == "__main__":
    main()
