from __future__ import annotations

import gzip
from pathlib import Path

from edgegraph.hlo.dump_folder import dumped_modules
from tests import programs

BEFORE = "HloModule {}\n\nENTRY e {{\n  ROOT x = f32[4,16] parameter(0)\n}}\n"
AFTER = BEFORE.replace("{}\n", "{}, is_scheduled=true, entry_computation_layout={{}}\n", 1)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_modules_are_put_together_by_what_their_files_hold(tmp_path: Path) -> None:
    small, large = "jit_f", "jit_g"
    write(
        tmp_path,
        module_0001__jit_f__before_optimizations__txt=BEFORE.format(small),
        module_0001__jit_f__sm_9_gpu_after_optimizations__txt=AFTER.format(small),
        module_0001__jit_f__0003__cse__after_x__before_y__txt=BEFORE.format(small),
        module_0002__jit_g__before_optimizations__txt=BEFORE.format(large) + "\n" * 100,
        module_0002__jit_g__after_codegen__txt=AFTER.format(large) + "\n" * 100,
        module_0003__jit_h__before_optimizations__txt=BEFORE.format("jit_h") + "\n" * 1000,
        notes__txt="HloModules are fun\n",
    )
    (tmp_path / "module_0001.jit_f.obj-file.o").write_bytes(b"\x7fELF" + b"\x00" * 100)
    found = dumped_modules(tmp_path)
    assert [(each.stem, each.name) for each in found] == [
        ("module_0002.jit_g", "jit_g"), ("module_0001.jit_f", "jit_f"),
        ("module_0003.jit_h", "jit_h"),
    ]  # fmt: skip
    assert [each.file.path.name.rpartition("jit_")[2] for each in found] == [
        "g.after_codegen.txt", "f.sm_9_gpu_after_optimizations.txt", "h.before_optimizations.txt",
    ]  # fmt: skip
    assert [each.before is not None for each in found] == [True, True, False]


def test_protobufs_are_known_among_others(tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(programs.compiled(programs.scan, 5))
    (tmp_path / "b.pb").write_bytes(b"\x0a\x03abc\x1a\x02\x08\x01")
    (tmp_path / "c.bin").write_bytes(gzip.compress(b"x" * 100))
    (found,) = dumped_modules(tmp_path)
    assert found.file.path.name == "a.pb"
