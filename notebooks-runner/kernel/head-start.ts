import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import { abandonHead, launchHead } from './kernel-head.ts';
import type { KernelPool } from './kernel-pool.ts';
import { type KernelRequest, kernelKeyOf } from './kernel-request.ts';

/** One kernel that is launched before its run is read and checked. Disposing ends it unless it was claimed. */
export interface HeadStart extends AsyncDisposable {
  /** Gives the kernel to the first claim of an equal request, and starts kernels for all others. */
  poolFor(context: { readonly clock: Clock; readonly log: Logger }): Pick<KernelPool, 'claim'>;
}

/** Launches the kernel; what talks to it is loaded meanwhile. Throws KERNEL_START_FAILED. */
export async function createHeadStart(launchedFor: KernelRequest): Promise<HeadStart> {
  const head = await launchHead(launchedFor);
  let isClaimed = false;
  return {
    poolFor: (context) => ({
      claim: async (request, { signal }) => {
        const { startReadyKernel } = await import('./ready-kernel.ts');
        const isMine = !isClaimed && kernelKeyOf(request) === kernelKeyOf(launchedFor);
        isClaimed ||= isMine;
        return startReadyKernel(request, { ...context, signal }, isMine ? head : undefined);
      },
    }),
    [Symbol.asyncDispose]: async () => {
      if (!isClaimed) await abandonHead(head);
    },
  };
}
