import { X509Certificate } from 'node:crypto';
import { sentenceOf } from '../../lib/errors.ts';
import { readTlsMaterial, sameMaterial, type TlsFiles, type TlsMaterial } from './material.ts';

/** Looking is cheap, and a rotation leaves hours. */
export const CERTIFICATE_POLL_MS = 5_000;

export interface CertificateReloaderOptions {
  readonly files: TlsFiles;
  /** What the listener started with. */
  readonly current: TlsMaterial;
  readonly intervalMs: number;
  /** Takes over what changed; connections that stand keep what they have. */
  readonly changed: (material: TlsMaterial) => void;
  /** The new files cannot be used; the old ones stay. Told once per cause. */
  readonly failed: (error: unknown) => void;
}

/**
 * Looks at a listener's files every intervalMs (a watch misses the symlink swap of Kubernetes volumes, and network file
 * systems) and tells what changed. A pair that does not fit, as between two writes, leaves the old one in use.
 */
export class CertificateReloader {
  readonly #options: CertificateReloaderOptions;
  readonly #timer: NodeJS.Timeout;
  #current: TlsMaterial;
  #lastFailure: string | undefined;
  #looking = false;

  constructor(options: CertificateReloaderOptions) {
    this.#options = options;
    this.#current = options.current;
    this.#timer = setInterval(() => void this.#look(), options.intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const read = await readTlsMaterial(this.#options.files);
      this.#lastFailure = undefined;
      if (sameMaterial(read, this.#current)) return;
      this.#options.changed(read);
      this.#current = read;
    } catch (error) {
      const failure = sentenceOf(error);
      if (failure === this.#lastFailure) return;
      this.#lastFailure = failure;
      this.#options.failed(error);
    } finally {
      this.#looking = false;
    }
  }
}

/** When the first certificate of the chain expires. */
export function notAfter({ cert }: TlsMaterial): Date {
  return new X509Certificate(cert).validToDate;
}
