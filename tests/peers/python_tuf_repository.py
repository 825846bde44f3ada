"""Writes a TUF repository with python-tuf, as odd as the specification allows.

    python_tuf_repository.py OUT

OUT/root.json       what a client pins: version 1; version 2 rotates a root and the timestamp key
OUT/metadata        consistent snapshots, ed25519, ECDSA and RSA keys, thresholds of two
OUT/targets         hash-prefixed; one file only with SHA-512, one with a name that is not ASCII
OUT/older           timestamp.json of the publication before
OUT/expected.json   {"role": name of the odd delegated role, "targets": {path: {length, sha256,
                    custom, role}}}

Metadata of a role whose name needs percent-encoding is written under both names: encoded, as a
directory has it, and plain, as a web server looks it up after decoding the request.
"""

import hashlib
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

EXPIRES = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
ODD_ROLE = "acme/größe 1%2F?#&+"
CUSTOM = {"note": "line\nend \"q\" \\ é \U0001f600", "sizes": [0, -1, 2**53 + 1], "none": None}
BINS = "0123456789abcdef"


class Repository:
    def __init__(self, out):
        self.out = out
        self.pins = {}
        self.expected = {}

    def write(self, path, content):
        path = self.out / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def metadata(self, role, signed, signers, pinned=True):
        """Signs and writes; what snapshot says about it has length and hash if `pinned`."""
        metadata = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        # White space on purpose: what is signed is not what is written.
        content = metadata.to_bytes(JSONSerializer(compact=False))
        version = "" if role == Timestamp.type else f"{signed.version}."
        for name in {quote(role, ""), role}:
            self.write(f"metadata/{version}{name}.json", content)
        pin = MetaFile(signed.version)
        if pinned:
            pin = MetaFile.from_data(signed.version, content, ["sha256"])
        self.pins[f"{role}.json"] = pin
        return content

    def target(self, role, signed, path, content, algorithms=("sha256",), custom=None):
        target = TargetFile.from_data(path, content, list(algorithms))
        if custom is not None:
            target.unrecognized_fields["custom"] = custom
        signed.targets[path] = target
        folder, _, name = path.rpartition("/")
        for digest in target.hashes.values():
            self.write(Path("targets", folder, f"{digest}.{name}"), content)
        self.expected[path] = {
            "length": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "custom": custom,
            "role": role,
        }


def keys(signers) -> dict[str, Key]:
    return {signer.public_key.keyid: signer.public_key for signer in signers}


def delegated(name, signers, threshold, **rest):
    return DelegatedRole(name, list(keys(signers)), threshold, **rest)


def bins(repository, signers):
    """A role that lists nothing and spreads its files over sixteen others by hash of the path."""
    roles = {
        f"bin-{digit}": delegated(f"bin-{digit}", signers, 1, terminating=False,
                                  path_hash_prefixes=[digit])
        for digit in BINS
    }
    content = {name: Targets(version=3, expires=EXPIRES) for name in roles}
    for number in range(20):
        path = f"pool/file-{number:02}.bin"
        digit = hashlib.sha256(path.encode()).hexdigest()[0]
        name = f"bin-{digit}"
        repository.target(name, content[name], path, f"pooled {number}\n".encode())
    for name, signed in content.items():
        repository.metadata(name, signed, signers)
    above = Targets(version=1, expires=EXPIRES, delegations=Delegations(keys(signers), roles))
    repository.metadata("bins", above, signers)


def odd_role(repository, signers):
    signed = Targets(version=7, expires=EXPIRES)
    add = lambda *rest, **more: repository.target(ODD_ROLE, signed, *rest, **more)
    add("acme/app/größe & maß 100%.bin", bytes(range(256)) * 4, custom=CUSTOM)
    # Not for python-tuf itself, which puts a target's name into a URL as it is.
    add("acme/app/odd#1?.bin", b"a fragment or a query to others\n")
    add("acme/app/only512.bin", b"five hundred and twelve\n", algorithms=["sha512"])
    add("acme/app/both.bin", b"", algorithms=["sha512", "sha256"])
    repository.metadata(ODD_ROLE, signed, signers, pinned=False)


def main(out):
    repository = Repository(Path(out))
    ed25519, ecdsa = CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa
    root_keys = [ed25519(), ecdsa(), ed25519()]
    targets_keys = [ecdsa(), CryptoSigner.generate_rsa()]
    snapshot_key, first_timestamp_key, timestamp_key = ed25519(), ed25519(), ecdsa()
    odd_keys, bin_keys = [ed25519(), ecdsa()], [ed25519()]

    root = Root(version=1, expires=EXPIRES, consistent_snapshot=True)
    for role, signers, threshold in [
        (Root.type, root_keys[:2], 2),
        (Targets.type, targets_keys, 2),
        (Snapshot.type, [snapshot_key], 1),
        (Timestamp.type, [first_timestamp_key], 1),
    ]:
        for signer in signers:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = threshold
    repository.write("root.json", repository.metadata(Root.type, root, root_keys[:2]))

    root.version = 2
    root.revoke_key(root_keys[1].public_key.keyid, Root.type)
    root.add_key(root_keys[2].public_key, Root.type)
    root.revoke_key(first_timestamp_key.public_key.keyid, Timestamp.type)
    root.add_key(timestamp_key.public_key, Timestamp.type)
    repository.metadata(Root.type, root, root_keys)
    del repository.pins["root.json"]

    bins(repository, bin_keys)
    odd_role(repository, odd_keys)
    targets = Targets(version=1, expires=EXPIRES)
    repository.target(Targets.type, targets, "top.txt", b"at the top\n", custom={"n": 1})
    roles = [
        delegated("bins", bin_keys, 1, terminating=False, paths=["pool/*"]),
        delegated(ODD_ROLE, odd_keys, 2, terminating=True, paths=["acme/*/*"]),
    ]
    targets.delegations = Delegations(
        keys(odd_keys + bin_keys), {role.name: role for role in roles}
    )
    timestamp = None
    for version in (1, 2):
        if timestamp is not None:
            repository.write("older/timestamp.json", timestamp)
        targets.version = version
        repository.metadata(Targets.type, targets, targets_keys)
        for later in (Snapshot.type, Timestamp.type):
            repository.pins.pop(f"{later}.json", None)
        snapshot = Snapshot(version=version, expires=EXPIRES, meta=dict(repository.pins))
        repository.metadata(Snapshot.type, snapshot, [snapshot_key])
        pin = repository.pins[f"{Snapshot.type}.json"]
        signed = Timestamp(version=version, expires=EXPIRES, snapshot_meta=pin)
        timestamp = repository.metadata(Timestamp.type, signed, [timestamp_key])
    expected = {"role": ODD_ROLE, "targets": repository.expected}
    repository.write("expected.json", json.dumps(expected).encode())


if __name__ == "__main__":
    main(sys.argv[1])
