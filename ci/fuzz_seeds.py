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


# Settings of both ends: buffers, ends, keepalive, frames, windows, streams, queue.
SETTINGS = [bytes(7), bytes([0, 1, 1, 0, 0, 0, 0]), bytes([3, 3, 2, 2, 4, 2, 2]), bytes([2, 1, 0, 3, 3, 1, 1]), bytes([1, 0, 1, 4, 1, 0, 0])]


def dialect_seeds(target, conversations, honest):
    """Frames of a peer for the server and for the client, and applications that only talk to each other."""
    for at, settings in enumerate(SETTINGS):
        for name, frames in conversations.items():
            script = settings
            for frame in frames:
                script += bytes([14 | 128]) + piece(frame[:255]) + bytes([3 | 128, 0, 9, 2 | 128, 0, 40, 1, 7 | 128, 9])
            put(target, f"{name}-{at}", (script + bytes([13, 250, 13, 250]))[:1000])
        put(target, f"honest-{at}", settings + honest * 3)


def smuxb_seeds():
    def frame(command, stream, payload=b""):
        return struct.pack("<BBHI", 1, command, len(payload), stream) + payload

    syn, fin, psh, nop, ack, ful, emp = range(7)
    begin = [frame(nop, 1), frame(ack, 1), frame(syn, 3)]
    pauses = [frame(ful, 3), frame(psh, 3, b"while paused"), frame(emp, 3), frame(emp, 3)]
    dialect_seeds("smuxb", {
        "stream": begin + [frame(psh, 3, b"request" * 9), frame(psh, 3), frame(fin, 3), frame(psh, 3, b"late")],
        "pauses": begin + pauses + [frame(syn, 5), frame(ful, 5), frame(fin, 5), frame(fin, 3)],
        "answers": begin + [frame(ack, 1), frame(ack, 9), frame(nop, 2), frame(nop, 2), frame(nop, 2**32 - 1), frame(ack, 2, b"payload")],
        "unknown": begin + [frame(psh, 7, b"nobody"), frame(ful, 7), frame(emp, 7), frame(fin, 7), frame(syn, 3), frame(7, 3)],
        "two-ends": [frame(syn, 3) + frame(psh, 3, bytes(90)) + frame(syn, 5) + frame(psh, 5, b"x") + frame(fin, 3), frame(fin, 5)],
    }, bytes([0, 1, 0, 50, 1, 7, 9, 138, 90, 131, 0, 9, 129, 0, 60, 2, 135, 8, 10, 99, 3, 0, 9, 13, 250, 7, 9, 138, 40, 135, 9, 10, 40,
              1, 0, 255, 2, 7, 60, 138, 255, 135, 9, 10, 40, 131, 0, 255, 135, 9, 10, 40, 5, 0, 7, 5, 138, 99, 133, 0, 135, 3, 10, 99]))


def yamux_seeds():
    def frame(kind, flags, stream, length, payload=b""):
        return struct.pack(">BBHII", 0, kind, flags, stream, length) + payload

    def data(flags, stream, payload):
        return frame(0, flags, stream, len(payload), payload)

    syn, ack, fin, rst = 1, 2, 4, 8
    open_stream = frame(1, syn, 1, 0)
    dialect_seeds("yamux", {
        "stream": [open_stream, data(0, 1, b"request" * 9), frame(1, 0, 1, 4096), data(fin, 1, b"end"), data(0, 1, b"late")],
        "at-once": [data(syn, 1, b"first") + data(syn | fin, 3, b"both"), frame(1, ack, 1, 0), frame(1, fin, 1, 0)],
        "resets": [open_stream, frame(1, rst, 1, 0), frame(1, rst, 9, 0), frame(1, syn, 1, 0), frame(1, syn | rst, 3, 0)],
        "windows": [open_stream, frame(1, 0, 1, 2**32 - 1), frame(1, 0, 1, 2**32 - 1), frame(0, 0, 1, 2**20), bytes(200)],
        "pings": [frame(2, syn, 0, 7), frame(2, ack, 0, 7), frame(2, syn, 0, 0), frame(3, 0, 0, 0), open_stream],
        "away": [open_stream, frame(3, 0, 0, 1), frame(1, syn, 3, 0), frame(4, 0, 0, 0)],
    }, bytes([0, 1, 0, 50, 1, 7, 9, 138, 90, 131, 0, 9, 129, 0, 60, 2, 135, 8, 10, 99, 3, 0, 9, 13, 250, 7, 9, 138, 40, 135, 9, 10, 40,
              0, 1, 1, 255, 2, 7, 60, 138, 255, 134, 1, 135, 9, 10, 40, 22, 0, 7, 5, 138, 99, 133, 0, 135, 3, 10, 99]))


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


def socks_seeds():
    four, six, name = bytes([1, 127, 0, 0, 1]), bytes([4]) + bytes(15) + b"\1", bytes([3, 11]) + b"example.com"
    for at, address in enumerate((four, six, name, bytes([3, 255]) + b"n" * 255, bytes([3, 7]) + b"1.2.3.4", bytes([3, 0]), bytes([9]))):
        put("socks_request", f"connect-{at}", bytes([5, 1, 0]) + address + b"\0\x50" + b"early")
    for at, text in enumerate(("127.0.0.1:80", "[::1]:443", "localhost:http", "example.com:https\r\nGET", "h:", "[::1", "", "h:99999", "n" * 330)):
        put("socks_request", f"text-{at}", bytes([0, 0, 0, 5]) + text.encode())
    for at, text in enumerate(("0.0.0.0/0,::/0", "127.0.0.0/8:80,[::1]:8080", "example.com:443,a.b", "::ffff:10.0.0.0/104", "10.0.0.0/33,x")):
        put("socks_request", f"allow-{at}", text.encode())
    for at, greeting in enumerate(([5, 1, 0], [5, 2, 0, 2], [5, 1, 2], [5, 0], [4, 1], [5, 255] + list(range(255)))):
        put("socks_request", f"greeting-{at}", bytes(greeting))
    put("socks_request", "password", b"\1\4user\4pass")
    put("socks_request", "bind", bytes([5, 2, 0]) + four + b"\0\x50")


def http_seeds():
    heads = [
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: Basic dTpw\r\n\r\nearly",
        "CONNECT [::1]:443 HTTP/1.0\n\n",
        "GET http://user@Example.com?q=1 HTTP/1.1\r\nHost: other\r\nProxy-Connection: keep-alive\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n",
        "POST http://h:8080/p HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET http://h/ HTTP/1.1\r\n\r\n",
        "POST http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nnext",
        "POST http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "POST http://h/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "\r\n\r\nGET http://h HTTP/1.1\r\n\r\n", "GET http://[::1]/ HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\n" + "A: b\r\n" * 130 + "\r\n", "\x16\x03\x01\x02", "BAD\n",
    ]
    for at, head in enumerate(heads):
        put("http_head", f"head-{at}", head.encode())


for seeds in (smuxb_seeds, yamux_seeds, socks_seeds, http_seeds, seal_seeds, kcp_seeds, fec_seeds, smux_seeds, snappy_seeds, qpp_seeds, tunnel_seeds, session_seeds, json_seeds):
    seeds()
