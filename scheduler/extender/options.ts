import { CERTIFICATE_POLL_MS } from '../tls/certificates.ts';
import type { TlsFiles } from '../tls/material.ts';
import type { PlacementSettings } from '../placement/index.ts';

export interface ExtenderOptions {
  /** Port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly placement: PlacementSettings;
  /** HTTPS (HTTP/2 and HTTP/1.1) instead of HTTP. */
  readonly tls?: TlsFiles | undefined;
  /** How often certificate files are looked at. Default 5 s. */
  readonly certificatePollMs?: number;
  /** Longest request body. Default 64 MiB: 5,000 full Node objects with 50 images each (scheduler.md §1.5). */
  readonly bodyLimitBytes?: number;
  /** Time for a body to arrive. Default 30 s. */
  readonly bodyTimeoutMs?: number;
  /** How long an idle connection is kept. Default 120 s: above Go's 90 s, else a call may meet the closing and fail with EOF. */
  readonly keepAliveTimeoutMs?: number;
  /** Default 256; kube-scheduler needs one. */
  readonly maxConnections?: number;
}

export const DEFAULT_EXTENDER_OPTIONS = {
  certificatePollMs: CERTIFICATE_POLL_MS,
  bodyLimitBytes: 64 * 1024 * 1024,
  bodyTimeoutMs: 30_000,
  keepAliveTimeoutMs: 120_000,
  maxConnections: 256,
} as const;
