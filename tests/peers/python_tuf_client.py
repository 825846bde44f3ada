"""Downloads targets with python-tuf, starting from nothing but a pinned root.

    python_tuf_client.py ROOT METADATA_URL TARGETS_URL TARGET...

Prints "<sha256> <length> <target>" for each. Exit code 1 and "refused: <error>: <text>" on standard
error when python-tuf does not believe the repository; any other failure is a traceback.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.ngclient import Updater


def download(root, metadata_url, targets_url, names):
    with tempfile.TemporaryDirectory() as folder:
        metadata, targets = Path(folder, "metadata"), Path(folder, "targets")
        metadata.mkdir()
        targets.mkdir()
        updater = Updater(
            metadata_dir=str(metadata),
            metadata_base_url=metadata_url,
            target_dir=str(targets),
            target_base_url=targets_url,
            bootstrap=Path(root).read_bytes(),
        )
        updater.refresh()
        for name in names:
            info = updater.get_targetinfo(name)
            if info is None:
                sys.exit(f"not listed: {name}")
            content = Path(updater.download_target(info)).read_bytes()
            print(hashlib.sha256(content).hexdigest(), len(content), name)


if __name__ == "__main__":
    try:
        download(*sys.argv[1:4], sys.argv[4:])
    except RepositoryError as error:
        sys.exit(f"refused: {type(error).__name__}: {error}")
