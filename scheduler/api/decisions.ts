import { hasNode, type Answer, type AskedNodes, type Decision } from '../extender/decision.ts';

/** What is told of a pod's answers. */
export interface AnswersOfPod {
  readonly uid: string;
  /** "namespace/Kind/name" */
  readonly workload: string;
  /** Where it was placed, if that is known. */
  readonly node: string | undefined;
  /** How often kube-scheduler asked about it. */
  readonly asked: number;
  /**
   * Pending: the newest answer. Placed: the newest one that the pod's node was a candidate of; undefined: none that is kept.
   * kube-scheduler also asks about nodes on which it then does not put the pod: a gang is tried in each of its topology's
   * domains, and nothing in a request tells such a call from the one that counts.
   */
  readonly decision: Decision | undefined;
}

export interface DecisionLimits {
  readonly pods: number;
  /** Of all pods together. */
  readonly answers: number;
  /** While a pod is pending; once it is placed one is kept. */
  readonly answersPerPod: number;
}

/** At 5,000 nodes and 32 names in each reply at most 80 MB; 64 answers: as many racks or zones a gang may be tried in. */
const DEFAULTS: DecisionLimits = { pods: 10_000, answers: 20_000, answersPerPod: 64 };

interface PodEntry {
  readonly uid: string;
  readonly key: string;
  workload: string;
  asked: number;
  /** Newest last. */
  answers: Answer[];
  /** Where it was placed. */
  node: string | undefined;
}

/**
 * Answers given to kube-scheduler, by pod; the pod that was asked about longest ago is forgotten first.
 * @param nodeIndexOf of a node in the name table of a view that was built then; undefined: not known (any more)
 */
export class Decisions {
  readonly #byUid = new Map<string, PodEntry>();
  readonly #uidByName = new Map<string, string>();
  readonly #limits: DecisionLimits;
  readonly #nodeIndexOf: (node: string, viewBuiltAtMs: number) => number | undefined;
  #answers = 0;
  /** Answers that had to go for newer ones. */
  forgotten = 0;

  constructor(
    nodeIndexOf: (node: string, viewBuiltAtMs: number) => number | undefined,
    limits: Partial<DecisionLimits> = {},
  ) {
    this.#nodeIndexOf = nodeIndexOf;
    this.#limits = { ...DEFAULTS, ...limits };
  }

  get size(): number {
    return this.#answers;
  }

  add(answer: Answer): void {
    const { podUid, namespace, name, workload } = answer.decision;
    const key = `${namespace}/${name}`;
    const entry = this.#byUid.get(podUid) ?? { uid: podUid, key, workload, asked: 0, answers: [], node: undefined };
    entry.workload = workload;
    this.#byUid.delete(podUid);
    this.#byUid.set(podUid, entry);
    this.#uidByName.set(key, podUid);
    entry.asked++;
    this.#keep(entry, [...entry.answers.filter(({ asked }) => !sameNodes(asked, answer.asked)), answer]);
    if (entry.answers.length > this.#limits.answersPerPod) {
      this.forgotten++;
      this.#keep(entry, entry.answers.slice(1));
    }
    while (this.#byUid.size > this.#limits.pods || this.#answers > this.#limits.answers) this.#forgetOldest();
  }

  /** The newest answer about the pod came after kube-scheduler had gone: it led to nothing, and explains nothing. */
  withdraw(uid: string): void {
    const entry = this.#byUid.get(uid);
    if (entry !== undefined) this.#keep(entry, entry.answers.slice(0, -1));
  }

  /** Whether the pod was asked about, and nobody has said where it was placed. */
  isOpen(uid: string): boolean {
    const entry = this.#byUid.get(uid);
    return entry !== undefined && entry.node === undefined;
  }

  /** The pod was placed: what was answered about other nodes is let go, now and later. */
  settle(uid: string, node: string): void {
    const entry = this.#byUid.get(uid);
    if (entry === undefined) return;
    entry.node = node;
    this.#keep(entry, entry.answers);
  }

  /** @param node where the pod stands, if it does */
  ofUid(uid: string, node: string | undefined): AnswersOfPod | undefined {
    const entry = this.#byUid.get(uid);
    if (entry === undefined) return undefined;
    const place = node ?? entry.node;
    const answer = place === undefined ? entry.answers.at(-1) : this.#newestAbout(place, entry.answers);
    return { uid, workload: entry.workload, node: place, asked: entry.asked, decision: answer?.decision };
  }

  ofName(namespace: string, name: string): AnswersOfPod | undefined {
    const uid = this.#uidByName.get(`${namespace}/${name}`);
    return uid === undefined ? undefined : this.ofUid(uid, undefined);
  }

  #keep(entry: PodEntry, answers: Answer[]): void {
    const about = entry.node === undefined ? undefined : this.#newestAbout(entry.node, answers);
    const kept = entry.node === undefined ? answers : about === undefined ? [] : [about];
    this.#answers += kept.length - entry.answers.length;
    entry.answers = kept;
  }

  #newestAbout(node: string, answers: readonly Answer[]): Answer | undefined {
    return answers.findLast(({ decision, asked }) => {
      const index = this.#nodeIndexOf(node, asked.viewBuiltAtMs);
      return index === undefined ? decision.top.some(({ Host }) => Host === node) : hasNode(asked, index);
    });
  }

  #forgetOldest(): void {
    const [oldest] = this.#byUid.values();
    this.#byUid.delete(oldest!.uid);
    this.#answers -= oldest!.answers.length;
    this.forgotten += oldest!.answers.length;
    if (this.#uidByName.get(oldest!.key) === oldest!.uid) this.#uidByName.delete(oldest!.key);
  }
}

/**
 * The same candidates. Once a name table has started anew equal bits may mean other nodes: then the older answer, which
 * this lets go, could no longer be read.
 */
function sameNodes(a: AskedNodes, b: AskedNodes): boolean {
  const [short, long] = a.bits.length < b.bits.length ? [a.bits, b.bits] : [b.bits, a.bits];
  const common = long.subarray(0, short.length);
  return Buffer.compare(common, short) === 0 && long.subarray(short.length).every((byte) => byte === 0);
}
