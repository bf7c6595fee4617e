# SPDX-License-Identifier: AGPL-3.0-only
"""A certificate authority for tests, by the openssl program."""

import os
import subprocess


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, **options).stdout


class Authority:
    """Files in a directory of its own; `file` is its certificate."""

    def __init__(self, directory, name):
        directory.mkdir()
        self.directory = directory
        self.file, self.key = directory / "ca.pem", directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
                f"/CN={name}", "-keyout", self.key, "-out", self.file)

    def issue(self, into, name, alternative_names, days=1, common_name=None):
        """Makes NAME.key and NAME.crt, or puts new ones in their place. A negative `days`: it has ended."""
        key, request, made = self.directory / "new.key", self.directory / "new.csr", self.directory / "new.crt"
        extensions = self.directory / "new.cnf"
        extensions.write_text(f"subjectAltName={alternative_names}\n" if alternative_names else "basicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={common_name or name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", made)
        key.chmod(0o600)
        os.replace(key, into / f"{name}.key")
        os.replace(made, into / f"{name}.crt")
