#!/usr/bin/env python3
"""Open a salvor image without salvor.

    read_container.py VAULT CASE IMAGE IDENTITY OUT

VAULT is the vault's directory, CASE and IMAGE name the image (T1-2026-0001 image-01), IDENTITY is an age identity
file, OUT the file to write the disk to. Sectors that were never read become zeros; how many is said on stderr, and the
exit status is 3. Needs python3-cryptography and the age command; for packed records python3-zstandard or the zstd
command.

Written from docs/format.md alone, so that the text is proved by somebody else's AES, HKDF and tree. It trusts no
footer: every record is read, its leaf computed, its tag checked. Station signatures are not checked here.
"""
import base64
import hashlib
import os
import struct
import subprocess
import sys
import threading

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 4096
DATA, FILL, STATUS, META, CHECKPOINT = 1, 2, 3, 4, 5


def crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = TABLE[(crc ^ b) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def need(condition, what):
    if not condition:
        sys.exit("read_container: " + what)


def block(b, magic):
    need(len(b) == BLOCK and b[:8] == magic and sha(b[:4064]) == b[4064:], f"no valid {magic!r} block")
    return b


def unpack(packed, length):
    """One zstd frame of exactly length bytes."""
    try:
        import zstandard
    except ImportError:
        zstandard = None
    if zstandard:
        text = zstandard.ZstdDecompressor().decompress(packed, max_output_size=length)
    else:
        with subprocess.Popen(["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            # A record is at most a MiB: all that fits comes back at once, and no more is taken.
            writer = threading.Thread(target=feed, args=(run.stdin, packed))
            writer.start()
            text = run.stdout.read(length + 1)
            run.stdout.close()
            writer.join()
    need(len(text) == length, "a packed record does not have its length")
    return text


def feed(pipe, data):
    try:
        with pipe:
            pipe.write(data)
    except BrokenPipeError:
        pass


class Tree:
    """RFC 6962 root from the peaks of complete subtrees."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def add(self, leaf):
        n = self.size
        while n & 1:
            leaf = sha(b"\x01", self.peaks.pop(), leaf)
            n >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha()
        root = self.peaks[-1]
        for p in reversed(self.peaks[:-1]):
            root = sha(b"\x01", p, root)
        return root


def secrets(vault, case, image, uuid, identity):
    """Session id -> secrets, from every key file that opens."""
    found = {}
    folder = os.path.join(vault, "keystore", case, image)
    for name in sorted(os.listdir(folder)):
        run = subprocess.run(["age", "-d", "-i", identity, os.path.join(folder, name)], capture_output=True)
        if run.returncode != 0:
            print(f"{name} does not open", file=sys.stderr)
            continue
        lines = run.stdout.decode().split("\n")
        need(lines[0] == "salvor/1 session secret" and lines[1] == "image " + uuid.hex(), f"{name} is of another image")
        session = bytes.fromhex(lines[2].split()[1])
        found.setdefault(session, []).append(base64.b64decode(lines[3].split()[1]))
    return found


def derive(secret, uuid, session, info):
    return HKDF(SHA256(), 32, salt=uuid + session, info=info).derive(secret)


def seal_counts(folder, uuid, sum_super):
    """Segment -> records that count, and the root; None when the image is not sealed."""
    path = os.path.join(folder, "seal.note")
    if not os.path.exists(path):
        return None, None
    text = open(path, encoding="utf-8").read().rsplit("\n\n", 1)[0]
    need(text.startswith("salvor/1 seal\n"), "seal.note is no seal")
    fields = [line.split() for line in text.split("\n")[1:]]
    once = {f[0]: f[1] for f in fields if f[0] != "segment"}
    need(once["image"] == uuid.hex() and once["superblock"] == sum_super.hex(), "the seal is of another image")
    return {int(f[1]): int(f[2]) for f in fields if f[0] == "segment"}, base64.b64decode(once["root"])


def records(folder, number, header, session, uuid, cipher, limit):
    """Yield (fields, leaf, plaintext) until the first record that is not whole."""
    with open(os.path.join(folder, f"{number:06d}.seg"), "rb") as f:
        f.seek(BLOCK)
        for ordinal in range(limit):
            h = f.read(128)
            if len(h) < 128 or h[:4] != b"SLR1" or crc32c(h[:124]) != struct.unpack("<I", h[124:])[0]:
                return
            kind, codec, status, _, order, first, count, plain, sealed = struct.unpack("<4xBBBBQQQII", h[:40])
            payload = f.read(sealed)
            if h[80:112] != sha(b"\x00", h[:80], payload):
                return
            need(codec == 0 or codec == 1 and kind == DATA, f"segment {number}, record {ordinal}: unknown codec")
            need(order == ordinal and h[64:80] == session, f"segment {number}, record {ordinal} is misplaced")
            aad = b"salvor/1 record\x00" + uuid + session + struct.pack("<I", number) + h[:40]
            text = cipher.decrypt(payload[:12], payload[12:], aad)
            if codec == 1:
                text = unpack(text, plain)
            need(len(text) == plain, "length differs")
            f.seek(-(128 + sealed) % BLOCK, 1)
            yield (kind, status, first, count), h[80:112], text


def main(vault, case, image, identity, out):
    folder = os.path.join(vault, "cases", case, image)
    with open(os.path.join(folder, "image.slv"), "rb") as f:
        sb = block(f.read(BLOCK), b"SALVOR1\n")
    version, sector = struct.unpack("<II", sb[8:16])
    uuid, size = sb[16:32], struct.unpack("<Q", sb[32:40])[0]
    need(version == 1, "another version")
    keys = secrets(vault, case, image, uuid, identity)
    counts, root = seal_counts(folder, uuid, sha(sb))

    # Every segment that begins as one: its header, and the number of records before it, from its checkpoint.
    segments = []
    for name in sorted(n for n in os.listdir(folder) if n.endswith(".seg")):
        with open(os.path.join(folder, name), "rb") as f:
            head, first = f.read(BLOCK), f.read(128)
        if len(first) == 128 and head[:8] == b"SLVSEG1\n" and head[16:32] == uuid and first[4] == CHECKPOINT:
            segments.append((int(name[:6]), block(head, b"SLVSEG1\n"), struct.unpack("<Q", first[16:24])[0]))
    tree, previous = Tree(), bytes(32)
    total = -(-size // sector)
    read = bytearray(total)
    with open(out, "wb") as disk:
        disk.truncate(total * sector)
        for i, (number, head, before) in enumerate(segments):
            if counts is not None:
                limit = counts.get(number, 0)
            else:
                limit = segments[i + 1][2] - before if i + 1 < len(segments) else 1 << 16
            if limit == 0:
                continue
            need(before == tree.size and head[88:120] == previous, f"segment {number} does not follow")
            session = head[32:48]
            fits = [s for s in keys.get(session, []) if derive(s, uuid, session, b"salvor/1 commitment") == head[48:80]]
            need(fits, f"no key for segment {number}")
            key = derive(fits[0], uuid, session, b"salvor/1 segment " + struct.pack("<I", number))
            seen = 0
            for (kind, status, first, count), leaf, text in records(folder, number, head, session, uuid, AESGCM(key), limit):
                if kind == CHECKPOINT:
                    need(first == tree.size and text == tree.root() + sha(sb) + sha(head), "checkpoint differs")
                elif kind in (DATA, FILL):
                    disk.seek(first * sector)
                    if kind == DATA:
                        disk.write(text)
                    else:
                        left = count * sector
                        while left:
                            left -= disk.write(text * min(left, 1 << 20))
                    read[first:first + count] = b"\x01" * count
                else:
                    need(kind in (STATUS, META), "unknown record type")
                tree.add(leaf)
                seen += 1
            need(seen == limit or limit == 1 << 16, f"segment {number} holds {seen} records instead of {limit}")
            previous = sha(head)
        disk.truncate(size)
    need(root is None or root == tree.root(), "the root is not the sealed one")
    print(f"{tree.size} records, root {base64.b64encode(tree.root()).decode()}", file=sys.stderr)
    unread = read.count(0)
    if unread:
        print(f"{unread} sectors were never read and are zeros in {out}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    need(len(sys.argv) == 6, "usage: read_container.py VAULT CASE IMAGE IDENTITY OUT")
    main(*sys.argv[1:])
