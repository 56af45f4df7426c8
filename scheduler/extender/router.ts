import type { IncomingMessage, ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import { candidateNames, parseArgs, type ExtenderArgs, type PodFacts } from './args.ts';
import { BodyPool, declaredLength, readBody, type BodyLimits } from './body.ts';
import { parseCandidates } from './candidates.ts';
import { isGone } from './caller-gone.ts';
import type { Complaints } from './complaints.ts';
import { askedNodes, boundedText, DECISION_HOSTS } from './decision.ts';
import type { ExtenderDeps } from './deps.ts';
import { fullText, passAll, refuse } from './filter.ts';
import type { ExtenderMetrics, Outcome, Verb } from './metrics.ts';
import { fullLinks, type PlacementView } from '../placement/index.ts';
import { isOff } from './namespaces.ts';
import type { ExtenderOptions } from './options.ts';
import { prioritize } from './prioritize.ts';
import { workloadOf } from './workload-of.ts';
import { JSON_TYPE, refusal, send, sendAndClose, TEXT_TYPE, type Reply } from './reply.ts';

interface Answer {
  readonly outcome: Outcome;
  readonly reply: Reply;
  /** The rest of the request is not wanted: the connection ends. */
  readonly close?: boolean;
  /** Of the pod that a prioritize call was about. */
  readonly podUid?: string;
}

type RouterOptions = Pick<ExtenderOptions, 'placement'> & {
  readonly bodyLimitBytes: number;
  readonly bodyTimeoutMs: number;
};

const ROUTES: Readonly<Record<string, { readonly verb: Verb; readonly methods: readonly string[] }>> = {
  '/prioritize': { verb: 'prioritize', methods: ['POST'] },
  '/filter': { verb: 'filter', methods: ['POST'] },
  '/livez': { verb: 'probe', methods: ['GET', 'HEAD'] },
  '/readyz': { verb: 'probe', methods: ['GET', 'HEAD'] },
  '/metrics': { verb: 'metrics', methods: ['GET', 'HEAD'] },
};

/** A body up to this length is read and thrown away when it is not wanted, so that the connection can be used on. */
const DRAINED_BYTES = 64 * 1024;

/** Answers requests. Whatever happens inside, kube-scheduler gets a 200 with a neutral answer, and nothing is thrown. */
export class Router {
  readonly #options: RouterOptions;
  readonly #deps: ExtenderDeps & { readonly nowMs: () => number };
  readonly #metrics: ExtenderMetrics;
  readonly #complaints: Complaints;
  readonly #served: (request: IncomingMessage) => void;
  readonly #bodies = new BodyPool();
  readonly #bodyLimits: BodyLimits;
  #called = false;

  constructor(
    options: RouterOptions,
    deps: ExtenderDeps & { readonly nowMs: () => number },
    metrics: ExtenderMetrics,
    complaints: Complaints,
    served: (request: IncomingMessage) => void,
  ) {
    this.#options = options;
    this.#deps = deps;
    this.#metrics = metrics;
    this.#complaints = complaints;
    this.#served = served;
    this.#bodyLimits = { limitBytes: options.bodyLimitBytes, timeoutMs: options.bodyTimeoutMs };
  }

  async handle(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    request.on('error', ignore);
    response.on('error', ignore);
    const startMs = performance.now();
    const path = pathOf(request.url ?? '');
    const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
    const verb = route?.verb ?? 'other';
    try {
      let answer: Answer | undefined;
      if (route === undefined)
        answer = {
          outcome: 'not_found',
          reply: refusal(404, `nothing here; there are ${Object.keys(ROUTES).join(', ')}`),
        };
      else if (!route.methods.includes(request.method ?? '')) answer = notAllowed(route.methods);
      else if (verb === 'prioritize' || verb === 'filter')
        answer = await this.#call(verb, request, response, expectsContinue);
      else answer = await this.#tell(path);
      this.#metrics.outcomes[verb][answer?.outcome ?? 'aborted'].inc();
      if (answer === undefined) {
        this.#wentAway('extender: the caller went away before its request was complete', verb, startMs);
        return;
      }
      if (verb !== 'prioritize' && verb !== 'filter') {
        this.#send(request, response, answer, expectsContinue);
        return;
      }
      if (await isGone(request)) {
        this.#late(verb, answer, startMs);
        return;
      }
      this.#send(request, response, answer, expectsContinue);
      this.#metrics.seconds[verb].observe((performance.now() - startMs) / 1000);
      if (answer.reply.status === 200) this.#firstCall(verb, request);
      if (answer.reply.status === 200) this.#served(request);
    } catch (error) {
      this.#metrics.outcomes[verb].fault.inc();
      this.#complaints.warn('extender: a reply could not be sent', error);
      request.destroy();
    }
  }

  #late(verb: Verb, { podUid }: Answer, startMs: number): void {
    this.#metrics.late.inc();
    this.#wentAway('extender: the caller went away before it was answered', verb, startMs);
    if (podUid !== undefined) this.#deps.onLate?.(podUid);
  }

  #wentAway(what: string, verb: Verb, startMs: number): void {
    this.#complaints.warn(what, undefined, { verb, afterMs: Math.round(performance.now() - startMs) });
  }

  #firstCall(verb: Verb, request: IncomingMessage): void {
    if (this.#called) return;
    this.#called = true;
    this.#deps.logger.info('called for the first time', { verb, by: request.headers['user-agent'] });
  }

  async #call(
    verb: 'prioritize' | 'filter',
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
  ): Promise<Answer | undefined> {
    const encoding = request.headers['content-encoding'] ?? 'identity';
    if (encoding.toLowerCase() !== 'identity')
      return badRequest('compressed bodies are not understood; send the JSON as it is');
    const declared = declaredLength(request) ?? 0;
    if (expectsContinue && declared <= this.#bodyLimits.limitBytes) response.writeContinue();
    const body = await readBody(request, this.#bodies, this.#bodyLimits);
    switch (body.kind) {
      case 'gone':
        return undefined;
      case 'too-slow':
        return { ...badRequest(`the body took longer than ${this.#bodyLimits.timeoutMs} ms`), close: true };
      case 'too-large': {
        const reply = refusal(413, `the body is longer than ${this.#bodyLimits.limitBytes} bytes`);
        return { outcome: 'too_large', reply, close: true };
      }
      case 'whole':
        try {
          return verb === 'prioritize' ? await this.#prioritize(body.bytes) : this.#filter(body.bytes);
        } finally {
          body.done();
        }
    }
  }

  async #prioritize(body: Buffer): Promise<Answer> {
    const startMs = performance.now();
    try {
      let view = this.#deps.view();
      if (view === undefined) {
        const parsed = parseArgs(body);
        return 'reason' in parsed ? badRequest(parsed.reason) : { outcome: 'not_ready', reply: json('[]') };
      }
      let parsed = parseCandidates(body, view.names);
      if ('reason' in parsed) return badRequest(parsed.reason);
      if (await this.#waitForPeers(parsed.pod, view)) {
        view = this.#deps.view() ?? view;
        // Other calls came in between: the candidates were valid until then.
        parsed = parseCandidates(body, view.names);
        if ('reason' in parsed) return badRequest(parsed.reason);
      }
      const { pod, candidates } = parsed;
      const { assumed } = this.#deps;
      const others = pod.inGroup ? [] : assumed?.besides(pod.uid, view, startMs);
      const answer = prioritize(pod, candidates, view, this.#options.placement, others);
      this.#metrics.namesIn.inc(candidates.length);
      this.#metrics.namesOut.inc(answer.hosts.length);
      if (answer.silence !== undefined) this.#metrics.silence[answer.silence].inc();
      this.#decided(pod, answer, candidates, view, startMs);
      if (!pod.inGroup) {
        this.#deps.unseen?.note(pod.uid, answer.workload, startMs);
        assumed?.note(pod.uid, answer.workload, answer.hosts[0]?.Host, startMs);
      }
      return {
        outcome: answer.hosts.length === 0 ? 'no_opinion' : 'scored',
        reply: json(JSON.stringify(answer.hosts)),
        podUid: boundedText(pod.uid),
      };
    } catch (error) {
      this.#complaints.warn('extender: prioritize failed, answered without an opinion', error);
      return { outcome: 'fault', reply: json('[]') };
    }
  }

  /** Until a view shows the pod's workload, and the pods asked about just before that this one talks to; false: it does. */
  async #waitForPeers(pod: PodFacts, view: PlacementView): Promise<boolean> {
    const { unseen } = this.#deps;
    if (unseen === undefined || pod.inGroup || isOff(view.names, pod)) return false;
    const startMs = performance.now();
    const awaited = unseen.awaited(view, pod, startMs);
    if (awaited.length === 0) return false;
    const seen = await unseen.wait(pod, awaited, startMs);
    this.#metrics.waits[seen ? 'seen' : 'late'].inc();
    this.#metrics.waitSeconds.inc((performance.now() - startMs) / 1000);
    return true;
  }

  #filter(body: Buffer): Answer {
    let args: ExtenderArgs | undefined;
    try {
      const parsed = parseArgs(body);
      if ('reason' in parsed) return badRequest(parsed.reason);
      args = parsed.args;
      const full = this.#full(args);
      if (full.size === 0) return { outcome: 'passed', reply: json(passAll(args)) };
      this.#metrics.refused.inc(full.size);
      return { outcome: 'refused', reply: json(refuse(args, full)) };
    } catch (error) {
      this.#complaints.warn('extender: filter failed, passed every node', error);
      const names = args === undefined ? [] : candidateNames(args);
      return { outcome: 'fault', reply: json(JSON.stringify({ NodeNames: names })) };
    }
  }

  /** Candidates whose link has no room for the pod, with what to say of them. */
  #full({ pod, ...args }: ExtenderArgs): ReadonlyMap<string, string> {
    const { placement } = this.#options;
    const { maxLinkUse } = placement;
    const view = maxLinkUse === undefined ? undefined : this.#deps.view();
    if (maxLinkUse === undefined || view === undefined || isOff(view.names, pod)) return new Map();
    const { names } = view;
    const candidates = candidateNames({ pod, ...args }).map((name) => names.nodeIndex.get(name) ?? -1);
    const full = fullLinks(view, workloadOf(names, pod).index, candidates, placement);
    return new Map(full.map(({ node, used }) => [names.nodes[node]!, fullText(used, maxLinkUse)]));
  }

  #decided(
    pod: PodFacts,
    answer: ReturnType<typeof prioritize>,
    candidates: Int32Array,
    view: PlacementView,
    startMs: number,
  ): void {
    const { onDecision, nowMs } = this.#deps;
    if (onDecision === undefined) return;
    try {
      const decision = {
        atMs: nowMs(),
        podUid: boundedText(pod.uid),
        namespace: boundedText(pod.namespace),
        name: boundedText(pod.name),
        workload: boundedText(answer.workload),
        candidates: candidates.length,
        silence: answer.silence,
        top: answer.hosts.slice(0, DECISION_HOSTS),
        named: answer.hosts.length,
        viewVersion: view.version,
        ...(answer.planVersion === undefined ? {} : { planVersion: answer.planVersion }),
        ...(answer.plan === undefined ? {} : { plan: answer.plan }),
        ...(answer.source === undefined ? {} : { source: answer.source }),
        durationMicros: Math.round((performance.now() - startMs) * 1000),
      };
      onDecision({ decision, asked: askedNodes(candidates, view) });
    } catch (error) {
      this.#metrics.listenerFaults.inc();
      this.#complaints.warn('extender: a decision could not be kept', error);
    }
  }

  async #tell(path: string): Promise<Answer> {
    if (path === '/livez') return { outcome: 'ok', reply: plain(200, 'ok\n') };
    if (path === '/readyz') return this.#readiness();
    try {
      return { outcome: 'ok', reply: { status: 200, type: METRICS_TYPE, text: await this.#deps.metricsText() } };
    } catch (error) {
      this.#complaints.warn('extender: metrics could not be collected', error);
      return {
        outcome: 'fault',
        reply: { status: 200, type: METRICS_TYPE, text: '# metrics could not be collected\n' },
      };
    }
  }

  #readiness(): Answer {
    try {
      const { ready, reason } = this.#deps.ready();
      return ready
        ? { outcome: 'ok', reply: plain(200, reason === '' ? 'ok\n' : `ok: ${reason}\n`) }
        : { outcome: 'unready', reply: plain(503, `not ready: ${reason}\n`) };
    } catch (error) {
      this.#complaints.warn('extender: readiness could not be told', error);
      return { outcome: 'unready', reply: plain(503, 'not ready: internal fault\n') };
    }
  }

  #send(request: IncomingMessage, response: ServerResponse, answer: Answer, expectsContinue: boolean): void {
    const unread = unreadBytes(request);
    // Who waits for "100 Continue" may send the body after a final reply, or not: the connection cannot be used on.
    const close = answer.close === true || unread > DRAINED_BYTES || (unread > 0 && expectsContinue);
    if (close) sendAndClose(request, response, answer.reply);
    else send(response, answer.reply);
  }
}

/** Of the body, at most; Infinity: not known. */
function unreadBytes(request: IncomingMessage): number {
  if (request.complete) return 0;
  if (request.httpVersionMajor < 2 && request.headers['transfer-encoding'] === undefined)
    return declaredLength(request) ?? 0;
  return Infinity;
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function json(text: string): Reply {
  return { status: 200, type: JSON_TYPE, text };
}

function plain(status: 200 | 503, text: string): Reply {
  return { status, type: TEXT_TYPE, text };
}

function badRequest(reason: string): Answer {
  return { outcome: 'bad_request', reply: refusal(400, reason) };
}

function notAllowed(methods: readonly string[]): Answer {
  const allow = methods.join(', ');
  return { outcome: 'method_not_allowed', reply: refusal(405, `the method must be one of ${allow}`, allow) };
}

/** Without the query; also of a request through a forward proxy, "POST http://host/prioritize". */
function pathOf(url: string): string {
  const end = url.search(/[?#]/);
  const path = end < 0 ? url : url.slice(0, end);
  return path.replace(/^https?:\/\/[^/]*/i, '');
}

function ignore(): void {}
