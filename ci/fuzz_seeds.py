#!/usr/bin/env python3
"""Turns golden data into inputs of the fuzz targets: ci/fuzz_seeds.py GOLDEN_FOLDER OUT_FOLDER

GOLDEN_FOLDER holds vectors/, kcp-traces/, fec-traces/, smux-traces/ and, if there, captures/. The layout of an input is
that of the target's body in interop/src/fuzz."""
import glob, gzip, json, os, struct, sys

golden, out = sys.argv[1:3]
CIPHERS = ["aes", "aes-128", "aes-192", "aes-128-gcm", "salsa20", "blowfish", "twofish", "cast5", "3des", "tea", "xtea",
           "xor", "sm4", "none", "null"]


def put(target, name, data):
    os.makedirs(f"{out}/{target}", exist_ok=True)
    with open(f"{out}/{target}/{name}", "wb") as file:
        file.write(data)


def vectors(name):
    with open(f"{golden}/vectors/{name}.json") as file:
        return json.load(file)


def trace(path):
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def traces(folder):
    return [(os.path.basename(p)[:-9], trace(p)) for p in sorted(glob.glob(f"{golden}/{folder}/*.jsonl.gz"))]


def piece(data):
    return bytes([len(data)]) + data


def seal_seeds():
    for method in vectors("crypt")["methods"]:
        if method["crypt"] not in CIPHERS:
            continue
        for case in method["cases"][:3]:
            data = bytes.fromhex(case["ciphertext_packet"])
            put("datagram_open", f"{method['crypt']}-{case['len']}", bytes([CIPHERS.index(method["crypt"])]) + data)


def kcp_seeds():
    for name, lines in traces("kcp-traces"):
        script = bytes([0, 0, 0]) + bytes([14, 20, 31, 31, 100]) * 2
        for event in lines[1:]:
            side = 128 if event.get("ep") == "B" else 0
            if event["op"] == "send":
                script += bytes([3 | side]) + struct.pack("<H", event["len"] % 65536)
            elif event["op"] == "flush":
                script += bytes([(5 if event["kind"] == "ack" else 4) | side])
            elif event["op"] == "input":
                script += bytes([1 | 128, 0])
            elif event["op"] == "recv":
                script += bytes([6 | side, 255, 255])
            script += bytes([14 | side, 8, 3])
            if len(script) > 900:
                break
        put("kcp_input", name, script)


def fec_seeds():
    for name, lines in traces("fec-traces"):
        header = lines[0]["decoder"]
        script = bytes([0, header["data_shards"] % 128, header["parity_shards"], 0, 0, 0, 0])
        for event in lines[1:]:
            packets = [event["data"]] + event.get("parity", []) if event["op"] == "enc" else []
            for packet in packets:
                script += bytes([1, 0]) + piece(bytes.fromhex(packet["hex"])[:255])
            if len(script) > 900:
                break
        put("fec_decode", name, script)
        put("fec_decode", name + "-honest", bytes([1]) + script[1:3] + bytes([0]) + bytes(range(255)) * 2)


def smux_seeds():
    for name, lines in traces("smux-traces"):
        version = lines[0]["version"]
        script = bytes([0, 1, 0, 0, 0, 0, 0])
        for event in lines[1:]:
            for side, key in ((128, "A_frames"), (0, "B_frames")):
                for frame in event.get(key, []):
                    script += bytes([14 | side]) + piece(bytes.fromhex(frame)[:255]) + bytes([3 | side, 0, 9])
        put(f"smux{version}", name, script[:1000])
    honest = bytes([0, 1, 0, 0, 0, 0, 0]) + bytes([0, 1, 0, 50, 1, 7, 9, 138, 90, 3 | 128, 0, 9, 129, 0, 60, 2, 135, 8, 10, 99, 3, 0, 9, 5, 0, 7, 5, 138, 99, 133, 0, 135, 3, 10, 99])
    for version in (1, 2):
        for receive in range(4):
            put(f"smux{version}", f"honest-{receive}", bytes([receive]) + honest[1:] * 3)


def snappy_seeds():
    for at, case in enumerate(vectors("snappy")["cases"]):
        stream = b"".join(bytes.fromhex(part) for part in case["underlying_writes"] if "repeated" not in part and "." not in part)
        put("snappy_decode", f"golden-{at}", bytes([0]) + bytes([3, 200] * 8) + bytes([0]) + stream[:4000])
    put("snappy_decode", "round-trip", bytes([1]) + bytes(range(16)) + bytes([0]) + piece(b"abc") + bytes([5]) + piece(b"frame" * 9) * 3)


def qpp_seeds():
    for pads in range(4):
        put("qpp", f"pads-{pads}", bytes([pads]) + bytes(range(1, 90)))


def udp_payloads(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16 + 42:at + 16 + length]
        at += 16 + length


def tunnel_seeds():
    for path in sorted(glob.glob(f"{golden}/captures/up26-*.pcap")):
        name = os.path.basename(path)[:-5]
        with open(path.split(".")[0] + ".json") as file:
            head = {"none": 20, "null": 0}.get(json.load(file)["settings"].get("client", {}).get("crypt", ""), None)
        head = 0 if "null" in name else 20 if "none" in name else head
        if head is None:
            continue
        script = b""
        for payload in udp_payloads(path):
            payload = payload[head:]
            if len(payload) <= 255:
                script += bytes([0]) + piece(payload) + bytes([11])
            if len(script) > 700:
                break
        for config in (0, 1, 5):
            put("tunnel", f"{name}-{config}", bytes([config]) + script)
    upload = bytes([5, 6, 0, 90]) + bytes(90) + bytes([0, 11, 15, 15, 23, 0, 200, 22, 0, 20]) + bytes(20) + bytes([2, 11, 15, 7, 0, 200, 9, 0, 11, 15, 25, 0, 11, 15, 12, 255])
    for config in range(0, 256, 3):
        put("tunnel", f"upload-{config}", bytes([config]) + upload * 2)


def session_seeds():
    talk = bytes([0, 1, 0, 200, 1, 9, 9, 130, 0, 90, 1, 9, 9, 131, 0, 255, 3, 0, 99, 13, 1, 0, 255, 2, 8, 3, 6, 2, 10, 9, 11, 60, 9])
    end = bytes([4, 0, 9, 131, 0, 255, 132, 0, 15, 3, 3, 0, 1, 0, 12, 2, 0, 9, 10, 9, 133, 0, 9])
    for config in range(0, 256, 11):
        put("session", f"talk-{config}", bytes([config]) + talk * 3 + end)


def json_seeds():
    texts = [
        '{"localaddr":":12948","remoteaddr":"vps:29900","key":"it\'s a secrect","crypt":"aes","mode":"fast3","conn":1,"mtu":1350,"sndwnd":128,"rcvwnd":512,"datashard":10,"parityshard":3,"dscp":0,"nocomp":false,"acknodelay":false,"nodelay":1,"interval":20,"resend":2,"nc":1,"sockbuf":4194304,"smuxver":1,"smuxbuf":4194304,"streambuf":2097152,"keepalive":10,"quiet":true,"tcp":false,"autoexpire":0,"scavengettl":600,"log":""}',
        '{"listen":":29900","target":"127.0.0.1:12948","pprof":false,"QPP":true,"QPPCount":61,"snmplog":"","snmpperiod":60}',
        "null", "", "{}", "[1]", '{"mtu":1e3}', '{"MTU":null,"x":[[{}]]} trailing', '{"key":"\\u00e9\\ud800"}', '{"conn":"1"}',
    ]
    for at, text in enumerate(texts):
        put("json_config", f"text-{at}", text.encode())


for seeds in (seal_seeds, kcp_seeds, fec_seeds, smux_seeds, snappy_seeds, qpp_seeds, tunnel_seeds, session_seeds, json_seeds):
    seeds()
