import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf, NetloomError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { ExtenderMetrics } from './metrics.ts';

export interface TlsFiles {
  /** PEM: our certificate and what it is signed by; the private key. */
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM: only callers with a certificate signed by one of these are let in. */
  readonly clientCaFile?: string;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

/**
 * Reads the files and checks that they can serve: PEM, key and certificate belong together.
 * @throws NetloomError EXTENDER_TLS_UNUSABLE, naming the file.
 */
export async function readTlsMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all([
    readPem(files.certFile, 'CERTIFICATE'),
    readPem(files.keyFile, 'PRIVATE KEY'),
    files.clientCaFile === undefined ? undefined : readPem(files.clientCaFile, 'CERTIFICATE'),
  ]);
  try {
    createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
  } catch (error) {
    throw unusable(
      `${files.certFile} and ${files.keyFile}`,
      'a certificate and the private key that belongs to it',
      error,
    );
  }
  return { cert, key, ...(ca === undefined ? {} : { ca }) };
}

async function readPem(file: string, label: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw unusable(file, 'a readable PEM file', error);
  }
  // An empty CA file would otherwise be taken as "no CA", and lock everybody out without a word.
  if (!bytes.includes(`${label}-----`))
    throw unusable(file, `PEM with a ${label}`, `${bytes.length} bytes without one`);
  return bytes;
}

function unusable(place: string, expected: string, found: unknown): NetloomError {
  return new NetloomError('EXTENDER_TLS_UNUSABLE', 'the extender cannot serve TLS with these files', {
    place,
    expected,
    found: messageOf(found),
  });
}

/** A server whose certificate can be changed under way; connections that stand keep the old one. */
interface SecureServer {
  setSecureContext(options: TlsMaterial): void;
}

/**
 * Looks at the files every intervalMs (a watch misses the symlink swap of Kubernetes volumes, and network file systems)
 * and takes over what changed. A pair that does not fit, as between two writes, leaves the old one in use: told once per content, counted.
 */
export class CertificateReloader {
  readonly #files: TlsFiles;
  readonly #server: SecureServer;
  readonly #logger: Logger;
  readonly #metrics: ExtenderMetrics;
  readonly #timer: NodeJS.Timeout;
  #current: TlsMaterial;
  #lastFailure: string | undefined;
  #looking = false;

  constructor(
    files: TlsFiles,
    current: TlsMaterial,
    intervalMs: number,
    server: SecureServer,
    logger: Logger,
    metrics: ExtenderMetrics,
  ) {
    this.#files = files;
    this.#current = current;
    this.#server = server;
    this.#logger = logger;
    this.#metrics = metrics;
    this.#showExpiry();
    this.#timer = setInterval(() => void this.#look(), intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const read = await readTlsMaterial(this.#files);
      this.#lastFailure = undefined;
      if (sameMaterial(read, this.#current)) return;
      this.#server.setSecureContext(read);
      this.#current = read;
      this.#metrics.reloads.ok.inc();
      this.#logger.info('extender certificate changed', { validTo: this.#showExpiry() });
    } catch (error) {
      const failure = error instanceof NetloomError ? error.describe() : messageOf(error);
      if (failure === this.#lastFailure) return;
      this.#lastFailure = failure;
      this.#metrics.reloads.failed.inc();
      this.#logger.error('extender certificate not changed: the new files cannot be used, the old ones stay', {
        error,
      });
    } finally {
      this.#looking = false;
    }
  }

  #showExpiry(): string {
    const { validTo, validToDate } = new X509Certificate(this.#current.cert);
    this.#metrics.certificateNotAfter.set(validToDate.getTime() / 1000);
    return validTo;
  }
}

function sameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca?.equals(b.ca ?? Buffer.alloc(0)) ?? true);
}
