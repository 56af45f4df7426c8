import type { RequestOptions } from 'node:https';
import { NetloomError } from '../errors.ts';

/** Where it stands which API server, and who we are to it. */
export interface CredentialsPlace {
  /** Path of a kubeconfig; undefined: the ServiceAccount of the pod that this runs in. */
  readonly kubeconfig: string | undefined;
  /** Folder before /var/run/secrets/kubernetes.io/serviceaccount; for tests. */
  readonly root?: string;
}

/** Which API server, and who we are to it, as read once from files. */
export interface Credentials {
  /** URL, http or https, perhaps with a path. */
  readonly server: string;
  /** Sets what proves who we are, what proves the server, and the way to it. @throws when a file or plugin fails */
  apply(options: RequestOptions): Promise<void>;
}

/** Reads them, now and whenever they were refused. @throws NetloomError KUBECONFIG_UNUSABLE */
export type ReadCredentials = () => Promise<Credentials>;

/** What was wrong at a place of credentials. No part of it may hold a secret. */
export interface CredentialsFault {
  /** Default: the API server to watch is not known. */
  readonly message?: string;
  /** Within the kubeconfig, such as `user "a"`. */
  readonly within?: string;
  readonly expected: string;
  readonly found: string;
  readonly remedy?: string;
  readonly cause?: unknown;
}

export function unusableCredentials(kubeconfig: string | undefined, fault: CredentialsFault): NetloomError {
  const { message = 'the API server to watch is not known', within, ...details } = fault;
  const file = kubeconfig ?? 'the ServiceAccount of this pod';
  return new NetloomError('KUBECONFIG_UNUSABLE', message, {
    ...details,
    place: within === undefined ? file : `${file} (${within})`,
  });
}
