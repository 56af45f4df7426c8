/** What is kept of one object: plain data. */
export interface Identified {
  /** metadata.uid */
  readonly uid: string;
}

/** What is listed and watched, and what is kept of it. */
export interface Collection<R extends Identified> {
  /** Of all namespaces, such as `/api/v1/pods`. */
  readonly path: string;
  /** Which of its objects, as a query: `fieldSelector=spec.nodeName%3Dnode-1`. Default: all. */
  readonly selector?: string;
  /**
   * Lists are taken from the API server's watch cache where they may be, as kubelet does: what thousands of agents ask
   * for must not reach etcd. Such a list may lag behind the newest state, never behind what was seen here before.
   */
  readonly fromCache?: boolean;
  /** undefined: the object cannot be used, which is counted. Never throws. */
  readonly project: (object: unknown) => R | undefined;
  /** Unique among what is there at one moment; the same key with another uid is another object. */
  readonly keyOf: (record: R) => string;
}

/** Of a deletion the record as it was known. */
export interface Change<R> {
  readonly op: 'upsert' | 'delete';
  readonly record: R;
}
