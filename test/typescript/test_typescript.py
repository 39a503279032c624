# SPDX-License-Identifier: Apache-2.0
"""The front-end developer's view: types made from /openapi.json, a client on top, checked by the compiler
and run against the server."""

import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
MODULES = HERE / "node_modules"


def node(*words, cwd, env=None):
    done = subprocess.run(["node", *words], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def tool(name, *words, cwd):
    assert MODULES.is_dir(), "the npm packages are not there: ./dev setup"
    entry = {"tsc": "typescript/bin/tsc", "openapi-typescript": "openapi-typescript/bin/cli.js"}[name]
    return node(MODULES / entry, *words, cwd=cwd)


@pytest.fixture(scope="module")
def project(shared, tmp_path_factory):
    """The script with the types of the running server beside it."""
    directory = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "tsconfig.json", "shop.ts"):
        shutil.copy(HERE / name, directory)
    (directory / "node_modules").symlink_to(MODULES)
    code, said = tool("openapi-typescript", f"http://127.0.0.1:{shared.port}/openapi.json", "-o", "api.d.ts", cwd=directory)
    assert code == 0, said
    return directory


def test_it_fits_the_types_and_runs(shared, project):
    code, said = tool("tsc", "-p", ".", "--outDir", "out", cwd=project)
    assert code == 0, said
    code, said = node("out/shop.js", cwd=project, env={"BASE_URL": f"http://127.0.0.1:{shared.port}"})
    assert code == 0 and "won paid, in the ranking" in said, said


PLANTED = [
    ("order.totalAmount", "order.totalAmuont", "Property 'totalAmuont' does not exist"),
    ('idempotencyKey: "shop-order"', "idempotencyKey: 7", "Type 'number' is not assignable to type 'string'"),
    ('sort: "price"', 'sort: "prise"', "Type '\"prise\"' is not assignable"),
    ('"/api/products/ranking/top"', '"/api/products/ranking/tops"', "/api/products/ranking/tops"),
    ("items, idempotencyKey", "idempotencyKey", "Property 'items' is missing"),
]


def test_what_is_wrong_does_not_compile(project):
    """All in one run of the compiler: each of them must say its own."""
    text = (HERE / "shop.ts").read_text()
    for number, (right, wrong, _) in enumerate(PLANTED):
        assert right in text
        (project / f"planted{number}.ts").write_text(text.replace(right, wrong))
    code, said = tool("tsc", "-p", ".", "--noEmit", "--pretty", "false", cwd=project)
    assert code != 0 and "\nshop.ts" not in f"\n{said}", said
    for number, (_, wrong, error) in enumerate(PLANTED):
        messages = said.partition(f"planted{number}.ts(")[2].partition(f"planted{number + 1}.ts(")[0]
        assert error in messages, f"{wrong}: {said}"
