import { silentLogger } from '../../lib/log.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { connectKube } from '../../scheduler/kubernetes/credentials.ts';
import { KubeSource } from '../../scheduler/kubernetes/kube-source.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';

const GIVE_UP_MS = 60_000;
/** What a test of placement looks at; the rest would only cost time. */
const KINDS = new Set(['Node', 'Pod', 'Deployment', 'ReplicaSet']);

/** The cluster as the API server has it, for a test that waits until it is as it should be. */
export class ClusterWatch {
  readonly state = new ClusterState();
  readonly #source: KubeSource;
  readonly #looking = new Set<() => void>();

  private constructor(source: KubeSource) {
    this.#source = source;
  }

  /** Resolves once everything has been listed. */
  static async start(kubeconfig: string): Promise<ClusterWatch> {
    const api = await connectKube({ kubeconfig });
    const source = new KubeSource({
      api,
      logger: silentLogger,
      resources: RESOURCES.filter(({ kind }) => KINDS.has(kind)),
    });
    const watch = new ClusterWatch(source);
    await new Promise<void>((resolve) => {
      void source.start({
        apply: (events) => {
          watch.state.apply(events);
          for (const look of watch.#looking) look();
        },
        synced: resolve,
        failed: () => undefined,
      });
    });
    return watch;
  }

  stop(): Promise<void> {
    return this.#source.stop();
  }

  /** Looks at every change, without polling. @throws when it does not hold within `giveUpMs` */
  async until(what: string, holds: () => boolean, giveUpMs = GIVE_UP_MS): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#looking.delete(look);
      };
      const look = (): void => {
        if (!holds()) return;
        done();
        resolve();
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`waited in vain until ${what}`));
      }, giveUpMs);
      this.#looking.add(look);
    });
  }
}
