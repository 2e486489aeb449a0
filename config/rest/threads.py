"""How long a request may keep a thread of gunicorn busy with waiting for the rest of it, where no proxy sees to that."""

from socket import SHUT_RD
from time import monotonic
from typing import Any

from django.conf import settings
from gunicorn.workers.gthread import TConn, ThreadWorker

from config.rest.servers import arriving

PRESSED = 1.0  # seconds that a request may take while others wait for its thread


class PatientWorker(ThreadWorker):
    """gunicorn's gthread, whose threads wait for the rest of a request for ever: a few clients could keep all of them.

    Of what takes too long nothing more is read: as if the client had stopped there. While others wait, too long is soon.
    """

    def handle(self, conn: TConn) -> Any:
        arriving[conn.sock] = monotonic()
        try:
            return super().handle(conn)
        finally:
            arriving.pop(conn.sock, None)

    def murder_pending(self) -> None:
        """Called at least once a second."""
        super().murder_pending()
        at_work = self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns)
        patience = PRESSED if at_work > self.cfg.threads else settings.REQUEST_SECONDS
        for connection, began in list(arriving.items()):
            if monotonic() - began > patience and arriving.pop(connection, 0.0):
                _stop_reading(connection)


def _stop_reading(connection: Any) -> None:
    try:
        connection.shutdown(SHUT_RD)
    except OSError:
        return  # it is gone already
