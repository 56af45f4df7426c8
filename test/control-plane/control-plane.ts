/**
 * A real Kubernetes control plane on loopback, with TLS and RBAC on: etcd, kube-apiserver, kube-controller-manager, and
 * as many kube-schedulers as asked for. No kubelet: nodes.ts and status-writer.ts write nodes and the lives of pods.
 * Everything is in one temporary folder, and goes with it.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePorts } from '../support/ports.ts';
import { Api } from './api.ts';
import { Component } from './component.ts';
import { Authority, createKey, type KeyPair } from './keys.ts';
import { PrometheusText } from './prometheus-text.ts';

const run = promisify(execFile);

export interface ControlPlaneOptions {
  /** Folder of the binaries, as build.sh prints it. */
  readonly binaries: string;
  /** For apiserver, controller-manager and schedulers, such as `GenericWorkload=true`. */
  readonly featureGates?: string;
  readonly apiserverArgs?: readonly string[];
}

export interface SchedulerOptions {
  /** Default: of the control plane's own version. */
  readonly binary?: string;
  /** Of its log; default kube-scheduler. */
  readonly name?: string;
  readonly extenders?: readonly object[];
  /** Merged into the KubeSchedulerConfiguration. */
  readonly config?: object;
  readonly args?: readonly string[];
}

export class ControlPlane {
  readonly folder: string;
  readonly #options: ControlPlaneOptions;
  /** With a client of its secure port. */
  readonly #schedulers = new Map<Component, Api>();
  #ca!: Authority;
  #apiserverArgs: readonly string[] = [];
  #schedulerKubeconfig = '';
  #admin!: KeyPair;
  #schedulerServing!: KeyPair;
  /** kubeconfig of an administrator (system:masters). */
  kubeconfig = '';
  url = '';
  /** Of etcd's clients, without TLS. */
  etcdUrl = '';
  api!: Api;
  etcd: Component | undefined;
  apiserver: Component | undefined;
  controllerManager: Component | undefined;

  private constructor(folder: string, options: ControlPlaneOptions) {
    this.folder = folder;
    this.#options = options;
  }

  static async start(options: ControlPlaneOptions): Promise<ControlPlane> {
    const plane = new ControlPlane(await mkdtemp(join(tmpdir(), 'netloom-control-plane-')), options);
    try {
      await plane.#start();
      return plane;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    await mkdir(this.#at('home'));
    const [etcdPort, etcdPeerPort, port, managerPort] = await freePorts(4);
    this.url = `https://127.0.0.1:${port}`;
    this.#ca = await Authority.create(this.folder, 'ca');
    const serving = await this.#ca.issue(
      'apiserver',
      '/CN=kube-apiserver',
      'IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc',
    );
    this.#schedulerServing = await this.#ca.issue('scheduler-serving', '/CN=kube-scheduler', 'IP:127.0.0.1');
    this.#admin = await this.#ca.issue('admin', '/O=system:masters/CN=admin');
    await createKey(this.#at('service-account.key'));
    this.kubeconfig = await this.#writeKubeconfig('admin', this.#admin);
    const manager = await this.kubeconfigOf('controller-manager', '/CN=system:kube-controller-manager');
    this.#schedulerKubeconfig = await this.kubeconfigOf('scheduler', '/CN=system:kube-scheduler');
    this.api = new Api(port!, this.#ca.cert, this.#admin);

    const etcdUrl = `http://127.0.0.1:${etcdPort}`;
    this.etcdUrl = etcdUrl;
    const peerUrl = `http://127.0.0.1:${etcdPeerPort}`;
    this.etcd = this.#component('etcd', [
      `--data-dir=${this.#at('etcd')}`,
      ...[`--listen-client-urls=${etcdUrl}`, `--advertise-client-urls=${etcdUrl}`],
      ...[
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
      ],
      '--unsafe-no-fsync',
      ...['--auto-compaction-mode=periodic', '--auto-compaction-retention=5m', '--quota-backend-bytes=8589934592'],
      '--log-level=warn',
    ]);
    await this.etcd.until(async () => (await fetch(`${etcdUrl}/health`)).ok);

    this.#apiserverArgs = [
      `--etcd-servers=${etcdUrl}`,
      ...[
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        '--advertise-address=127.0.0.1',
        '--endpoint-reconciler-type=none',
      ],
      '--service-cluster-ip-range=10.96.0.0/16',
      ...[
        `--tls-cert-file=${serving.cert}`,
        `--tls-private-key-file=${serving.key}`,
        `--client-ca-file=${this.#ca.cert}`,
      ],
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${this.#at('service-account.key')}`,
      `--service-account-signing-key-file=${this.#at('service-account.key')}`,
      ...['--authorization-mode=Node,RBAC', '--enable-admission-plugins=NodeRestriction', '--allow-privileged=true'],
      ...[
        '--max-requests-inflight=3000',
        '--max-mutating-requests-inflight=1000',
        '--event-ttl=10m',
        '--profiling=false',
      ],
      ...this.#gates(),
      ...(this.#options.apiserverArgs ?? []),
    ];
    await this.#startApiserver();

    this.controllerManager = this.#component('kube-controller-manager', [
      ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map((flag) => `--${flag}=${manager}`),
      ...['--leader-elect=false', '--use-service-account-credentials=true'],
      `--service-account-private-key-file=${this.#at('service-account.key')}`,
      ...[`--root-ca-file=${this.#ca.cert}`, `--cluster-signing-cert-file=${this.#ca.cert}`],
      `--cluster-signing-key-file=${this.#at('ca.key')}`,
      // Nodes have no kubelet to renew them.
      '--node-monitor-grace-period=240h',
      ...['--kube-api-qps=1000', '--kube-api-burst=2000', '--concurrent-gc-syncs=20'],
      ...['--bind-address=127.0.0.1', `--secure-port=${managerPort}`],
      // Otherwise it makes /usr/libexec/kubernetes on this machine.
      `--flex-volume-plugin-dir=${this.#at('home')}`,
      ...this.#gates(),
    ]);
    await this.controllerManager.until(
      async () => (await this.api.ask('GET', '/api/v1/namespaces/default/serviceaccounts/default')).status === 200,
    );
  }

  async #startApiserver(): Promise<void> {
    this.apiserver = this.#component('kube-apiserver', this.#apiserverArgs);
    await this.apiserver.until(async () => (await this.api.ask('GET', '/readyz')).status === 200);
  }

  /** A client certificate of the cluster in a kubeconfig; subject such as `/O=system:nodes/CN=system:node:node-1`. */
  async kubeconfigOf(file: string, subject: string): Promise<string> {
    return this.#writeKubeconfig(file, await this.#ca.issue(file, subject));
  }

  /** A certificate by the cluster's CA, whose file is `caFile`. */
  issue(file: string, subject: string, names?: string): Promise<KeyPair> {
    return this.#ca.issue(file, subject, names);
  }

  get caFile(): string {
    return this.#ca.cert;
  }

  /** Starts a kube-scheduler and waits until it serves. */
  async startScheduler(options: SchedulerOptions = {}): Promise<Component> {
    const [port] = await freePorts(1);
    const name = options.name ?? 'kube-scheduler';
    const config = this.#at(`${name}-${port}.json`);
    await writeFile(
      config,
      JSON.stringify({
        apiVersion: 'kubescheduler.config.k8s.io/v1',
        kind: 'KubeSchedulerConfiguration',
        clientConnection: { kubeconfig: this.#schedulerKubeconfig, qps: 5_000, burst: 5_000 },
        leaderElection: { leaderElect: false },
        podInitialBackoffSeconds: 1,
        podMaxBackoffSeconds: 1,
        ...(options.extenders === undefined ? {} : { extenders: options.extenders }),
        ...options.config,
      }),
    );
    const scheduler = new Component(
      options.binary ?? join(this.#options.binaries, 'kube-scheduler'),
      [
        `--config=${config}`,
        ...['authentication', 'authorization'].map((what) => `--${what}-kubeconfig=${this.#schedulerKubeconfig}`),
        ...['--bind-address=127.0.0.1', `--secure-port=${port}`],
        `--tls-cert-file=${this.#schedulerServing.cert}`,
        `--tls-private-key-file=${this.#schedulerServing.key}`,
        ...this.#gates(),
        ...(options.args ?? []),
      ],
      this.#at(`${name}-${port}.log`),
      { HOME: this.#at('home') },
    );
    const api = new Api(port!, this.#ca.cert, this.#admin);
    this.#schedulers.set(scheduler, api);
    await scheduler.until(async () => (await api.ask('GET', '/readyz')).status === 200);
    return scheduler;
  }

  /** What a kube-scheduler's /metrics says; it asks the API server who we are and whether we may. */
  async schedulerMetrics(scheduler: Component): Promise<PrometheusText> {
    return new PrometheusText(await this.#schedulers.get(scheduler)!.call<string>('GET', '/metrics'));
  }

  async stopScheduler(scheduler: Component): Promise<void> {
    await scheduler.stop();
    this.#schedulers.get(scheduler)?.close();
    this.#schedulers.delete(scheduler);
  }

  async restartApiserver(downMs = 0): Promise<void> {
    await this.apiserver?.stop();
    await sleep(downMs);
    await this.#startApiserver();
  }

  kubectl(...args: string[]): Promise<string> {
    return this.#tool('kubectl', args);
  }

  helm(...args: string[]): Promise<string> {
    return this.#tool('helm', args);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#schedulers.keys()].map((scheduler) => this.stopScheduler(scheduler)));
    await this.controllerManager?.stop();
    await this.apiserver?.stop();
    await this.etcd?.stop();
    this.api?.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #tool(name: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(join(this.#options.binaries, name), args, {
      env: { PATH: process.env['PATH'] ?? '', KUBECONFIG: this.kubeconfig, ...keptIn(this.#at('home')) },
      maxBuffer: 256 << 20,
    });
    return stdout;
  }

  #component(name: string, args: readonly string[]): Component {
    return new Component(join(this.#options.binaries, name), args, this.#at(`${name}.log`), { HOME: this.#at('home') });
  }

  #gates(): string[] {
    return this.#options.featureGates === undefined ? [] : [`--feature-gates=${this.#options.featureGates}`];
  }

  #at(file: string): string {
    return join(this.folder, file);
  }

  async #writeKubeconfig(name: string, pair: KeyPair): Promise<string> {
    const path = this.#at(`${name}.kubeconfig`);
    await writeFile(
      path,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'test', cluster: { server: this.url, 'certificate-authority': this.#ca.cert } }],
        users: [{ name, user: { 'client-certificate': pair.cert, 'client-key': pair.key } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: name } }],
        'current-context': 'test',
      }),
    );
    return path;
  }
}

/** Where kubectl and helm keep what they keep. */
function keptIn(home: string): Record<string, string> {
  return {
    HOME: home,
    KUBECACHEDIR: join(home, 'kube'),
    HELM_CACHE_HOME: join(home, 'helm-cache'),
    HELM_CONFIG_HOME: join(home, 'helm-config'),
    HELM_DATA_HOME: join(home, 'helm-data'),
  };
}
