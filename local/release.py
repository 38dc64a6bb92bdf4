"""Looks into functions as they are deployed: how large they are, and that nothing is in them that would make them slow to start.

The compiler writes into a program from which files its parts are, so what was built in can be read there. That no runtime of many
threads is started, `.clippy.toml` sees to: lambda_runtime has tokio built with it, so it is in every function.
"""

import re
import sys
from pathlib import Path

# For x86_64: what the largest function has, and a hundredth. BENCHMARKS.md says what it should be.
BYTES_MAX = 5_310_000
SLOW = {
    b"aws-lc": "a TLS stack that draws entropy for 40 ms at its first handshake",
    b"native-tls-": "a second TLS stack",
    b"openssl-[0-9]": "a second TLS stack",
    b"s2n-tls": "a second TLS stack",
    b"h2-[0-9]": "HTTP/2, which nobody speaks here and which is half a megabyte",
    b"aws-config-": "the search for credentials, which Lambda puts into the environment",
}


def wrong_with(binary):
    """What is wrong with a function, a line for each."""
    content = binary.read_bytes()
    wrong = [f"holds {why} ({name.decode()})" for name, why in SLOW.items() if re.search(rb"/" + name, content)]
    if b"/tokio-" not in content:
        wrong.append("does not say what it is made of, so nothing can be seen in it")
    if len(content) > BYTES_MAX:
        wrong.append(f"has {len(content):,} bytes, more than {BYTES_MAX:,}")
    if not wrong:
        print(f"{binary.name} has {len(content):,} bytes of at most {BYTES_MAX:,}, and holds nothing that makes it slow")
    return [f"{binary.name} {one}" for one in wrong]


def main():
    wrong = [line for path in sys.argv[1:] for line in wrong_with(Path(path))]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
