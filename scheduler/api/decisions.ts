import type { Decision } from '../extender/decision.ts';

/** The last answers given to kube-scheduler, one a pod, the oldest forgotten first. */
export class Decisions {
  readonly #byUid = new Map<string, Decision>();
  readonly #uidByName = new Map<string, string>();
  readonly #max: number;

  constructor(max = 10_000) {
    this.#max = max;
  }

  get size(): number {
    return this.#byUid.size;
  }

  add(decision: Decision): void {
    const { podUid, namespace, name } = decision;
    this.#byUid.delete(podUid);
    this.#byUid.set(podUid, decision);
    this.#uidByName.set(`${namespace}/${name}`, podUid);
    if (this.#byUid.size <= this.#max) return;
    const [oldest] = this.#byUid.values();
    this.#byUid.delete(oldest!.podUid);
    const key = `${oldest!.namespace}/${oldest!.name}`;
    if (this.#uidByName.get(key) === oldest!.podUid) this.#uidByName.delete(key);
  }

  ofUid(uid: string): Decision | undefined {
    return this.#byUid.get(uid);
  }

  ofName(namespace: string, name: string): Decision | undefined {
    const uid = this.#uidByName.get(`${namespace}/${name}`);
    return uid === undefined ? undefined : this.#byUid.get(uid);
  }
}
