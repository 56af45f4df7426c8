import type { Api } from './api.ts';

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly name: string }[] };
  readonly status: { readonly phase?: string };
}

const AT_ONCE = 8;

/**
 * Does what kubelets would: a pod that is bound starts to run, with an address of its own; one that is deleted goes.
 * Helm's test pods succeed at once.
 */
export class StatusWriter {
  readonly #api: Api;
  readonly #abort = new AbortController();
  readonly #queue = new Map<string, PodObject>();
  /** UIDs of pods that were told to run: a second address would be refused. */
  readonly #started = new Set<string>();
  #working = 0;
  #next = 1;
  #watching: Promise<void> | undefined;
  readonly failures: string[] = [];

  constructor(api: Api) {
    this.#api = api;
  }

  start(): this {
    this.#watching = this.#watch();
    return this;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const list = await this.#api.call<{ items: PodObject[]; metadata: { resourceVersion: string } }>(
          'GET',
          '/api/v1/pods',
        );
        for (const pod of list.items) this.#take(pod);
        const from = `/api/v1/pods?watch=1&resourceVersion=${list.metadata.resourceVersion}`;
        for await (const { type, object } of this.#api.watch<PodObject>(from, signal)) {
          if (type === 'ERROR') break;
          if (type === 'DELETED') this.#started.delete(object.metadata.uid);
          else this.#take(object);
        }
      } catch {
        // The API server restarts, or the test ends.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  #take(pod: PodObject): void {
    const { deletionTimestamp, uid } = pod.metadata;
    if (pod.spec.nodeName === undefined) return;
    // Without a grace period the API server itself removes it.
    if (deletionTimestamp !== undefined && pod.metadata.deletionGracePeriodSeconds === 0) return;
    if (deletionTimestamp === undefined && pod.status.phase !== 'Pending') return;
    this.#queue.set(uid, pod);
    while (this.#working < AT_ONCE && this.#queue.size > 0) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working++;
    try {
      for (let next = this.#pop(); next !== undefined; next = this.#pop()) await this.#write(next);
    } finally {
      this.#working--;
    }
  }

  #pop(): PodObject | undefined {
    const [first] = this.#queue.values();
    if (first !== undefined) this.#queue.delete(first.metadata.uid);
    return first;
  }

  async #write(pod: PodObject): Promise<void> {
    const { namespace, name, uid, deletionTimestamp } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    if (deletionTimestamp === undefined) {
      if (this.#started.has(uid)) return;
      this.#started.add(uid);
    }
    const reply =
      deletionTimestamp === undefined
        ? await this.#api
            .ask(
              'PATCH',
              `${path}/status`,
              { metadata: { uid }, status: this.#status(pod) },
              'application/strategic-merge-patch+json',
            )
            .catch(String)
        : await this.#api.ask('DELETE', path, { gracePeriodSeconds: 0, preconditions: { uid } }).catch(String);
    if (typeof reply !== 'object') this.#started.delete(uid);
    // Gone, or another pod of that name: somebody was quicker.
    if (typeof reply === 'object' && (reply.status < 300 || reply.status === 404 || reply.status === 409)) return;
    if (this.failures.length < 100) this.failures.push(`${path}: ${JSON.stringify(reply).slice(0, 300)}`);
  }

  #status(pod: PodObject): object {
    const n = this.#next++;
    const ip = `10.${128 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
    const now = new Date().toISOString();
    const test = pod.metadata.annotations?.['helm.sh/hook'] === 'test';
    const types = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
    return {
      phase: test ? 'Succeeded' : 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      hostIP: '172.16.0.1',
      startTime: now,
      conditions: types.map((type) => ({ type, status: 'True', lastTransitionTime: now })),
      containerStatuses: pod.spec.containers.map((container) => ({
        name: container.name,
        image: 'written-by-a-test',
        imageID: '',
        ready: !test,
        restartCount: 0,
        started: !test,
        state: test ? { terminated: { exitCode: 0 } } : { running: { startedAt: now } },
      })),
    };
  }
}
