import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config/settings.ts';
import type { Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import type { ServerTls } from '../rpc/server-tls.ts';
import { startWebBridge, type WebBridge } from '../web/web-bridge.ts';

interface WebListener {
  /** Starts the listener in front of the gRPC server at `target`. Gives its `host:port`, undefined when it is off. */
  start(target: string): Promise<string | undefined>;
}

/**
 * The gRPC-web listener, where SHOWRUNNER_WEB_ADDRESS says so. It takes no new calls from before the gRPC server drains,
 * and ends its connections after that: called before that server is started, started after it.
 */
export function openWebListener(
  config: Config,
  tls: ServerTls | undefined,
  log: Logger,
  lifecycle: Lifecycle,
): WebListener {
  let bridge: WebBridge | undefined;
  lifecycle.defer('gRPC-web connections', () => bridge?.close());
  return {
    start: async (target) => {
      if (config.WEB_ADDRESS === undefined) return undefined;
      bridge = await startWebBridge({
        address: config.WEB_ADDRESS,
        target,
        tls,
        origins: config.WEB_ORIGINS,
        maxMessageBytes: config.MAX_MESSAGE_BYTES,
        maxMetadataBytes: config.MAX_METADATA_BYTES,
        clock: systemClock,
        log,
      });
      lifecycle.defer('gRPC-web listener', bridge.stop);
      return bridge.address;
    },
  };
}
