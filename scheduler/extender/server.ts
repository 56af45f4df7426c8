import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Registry } from 'prom-client';
import { messageOf, NetloomError } from '../../lib/errors.ts';
import { CertificateReloader, notAfter } from '../tls/certificates.ts';
import { readTlsMaterial, type TlsFiles, type TlsMaterial } from '../tls/material.ts';
import { Complaints } from './complaints.ts';
import type { ExtenderDeps } from './deps.ts';
import { createListener } from './listener.ts';
import { createExtenderMetrics } from './metrics.ts';
import { DEFAULT_EXTENDER_OPTIONS, type ExtenderOptions } from './options.ts';
import { Router } from './router.ts';

export interface Extender {
  readonly address: AddressInfo;
  /** Stops listening, lets calls under way end for up to a second, then closes every connection. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 1_000;

/**
 * Serves kube-scheduler: POST /prioritize and /filter, GET /livez, /readyz and /metrics.
 * @throws NetloomError EXTENDER_LISTEN_FAILED, TLS_UNUSABLE
 */
export async function startExtender(given: ExtenderOptions, deps: ExtenderDeps): Promise<Extender> {
  const options = { ...DEFAULT_EXTENDER_OPTIONS, ...given };
  const metrics = createExtenderMetrics(deps.registry ?? new Registry());
  const nowMs = deps.nowMs ?? Date.now;
  const complaints = new Complaints(deps.logger, () => performance.now());
  const material = options.tls === undefined ? undefined : await readTlsMaterial(options.tls);

  const router = new Router(options, { ...deps, nowMs }, metrics, complaints, (request) =>
    connections.served(request.socket),
  );
  const handle = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) =>
    void router.handle(request, response, expectsContinue);
  const { server, connections } = createListener(handle, { ...options, tls: material }, metrics);
  await listen(server, options.listen);
  const reloader =
    options.tls === undefined || material === undefined
      ? undefined
      : reloadCertificate(options.tls, material, options.certificatePollMs);

  function reloadCertificate(files: TlsFiles, current: TlsMaterial, intervalMs: number): CertificateReloader {
    metrics.certificateNotAfter.set(notAfter(current).getTime() / 1000);
    return new CertificateReloader({
      files,
      current,
      intervalMs,
      changed: (read) => {
        (server as Http2SecureServer).setSecureContext(read);
        metrics.reloads.ok.inc();
        metrics.certificateNotAfter.set(notAfter(read).getTime() / 1000);
        deps.logger.info('extender certificate changed', { validTo: notAfter(read).toISOString() });
      },
      failed: (error) => {
        metrics.reloads.failed.inc();
        deps.logger.error('extender certificate not changed: the new files cannot be used, the old ones stay', {
          error,
        });
      },
    });
  }

  return {
    address: server.address() as AddressInfo,
    close: async () => {
      reloader?.stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if ('closeIdleConnections' in server) server.closeIdleConnections();
      const timer = setTimeout(() => connections.destroyAll(), CLOSE_GRACE_MS);
      await closed;
      clearTimeout(timer);
      connections.destroyAll();
    },
  };
}

function listen(server: Server | Http2SecureServer, at: ExtenderOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const place = `${at.host}:${at.port}`;
      reject(
        new NetloomError('EXTENDER_LISTEN_FAILED', `the extender cannot listen on ${place}`, {
          place,
          found: messageOf(error),
          cause: error,
        }),
      );
    };
    server.once('error', failed);
    server.listen({ host: at.host, port: at.port, backlog: 1024 }, () => {
      server.off('error', failed);
      // Errors of accept (out of file descriptors) pass; the server goes on listening.
      server.on('error', () => undefined);
      resolve();
    });
  });
}
