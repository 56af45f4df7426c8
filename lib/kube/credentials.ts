import type { RequestOptions } from 'node:https';

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
