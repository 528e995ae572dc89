from __future__ import annotations

import shutil

from medkd.planning.free_disk import free_disk


def test_a_folder_that_is_not_there_yet_has_what_is_free_above_it(tmp_path):
    free = free_disk(tmp_path / "runs" / "one")
    assert abs(free - shutil.disk_usage(tmp_path).free) < 2**30
    assert not (tmp_path / "runs").exists()
