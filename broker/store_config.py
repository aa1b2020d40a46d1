"""S3Proxy's configuration: one object store in files, for one machine. Pure."""

from pathlib import Path

from broker.credentials import Credentials
from broker.ports import LOOPBACK

LOGBACK = "logback.xml"
# Its web server's own word that it accepts requests.
STARTED = "jetty.server.Server - Started "
# Warnings, STARTED, and the form that ``broker.server_log`` reads. Without such a file it logs
# every request at DEBUG, and takes three times as long for each.
LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder>
      <pattern>%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %level %logger - %msg%n</pattern>
    </encoder>
  </appender>
  <logger name="org.gaul.shaded.org.eclipse.jetty.server.Server" level="INFO"/>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"""


def endpoint_url(port: int) -> str:
    """Where clients find it."""
    return f"http://{LOOPBACK}:{port}"


def store_properties(port: int, buckets: Path, credentials: Credentials) -> dict[str, str]:
    """The settings of a store on ``port`` that keeps each bucket as a directory of ``buckets``.

    ``buckets`` is absolute: of a relative path S3Proxy 4.1.0 lists no object and finds no upload.
    """
    return {
        "s3proxy.endpoint": endpoint_url(port),
        # Every request has to be signed, by whichever version of the signature.
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": credentials.access_key_id,
        "s3proxy.credential": credentials.secret_access_key,
        # A signed body is held in memory until its signature is checked. With the default of 200
        # the heap ends at 64 parts of 8 MiB at once, and the store with it; further requests wait.
        "s3proxy.jetty.max-threads": "24",
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": str(buckets),
        # Of the provider; the one that writes files has none, and S3Proxy wants them all the same.
        "jclouds.identity": "none",
        "jclouds.credential": "none",
    }
