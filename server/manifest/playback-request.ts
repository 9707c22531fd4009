import type { GetPlaybackRequest } from '../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import { type FieldViolation, invalidFields } from '../core/errors.ts';
import type { Location } from './distance.ts';
import { readEncodeSetOrTitle } from './encode-set-name.ts';
import { addressOfPeer, type IpAddress, parseIpAddress } from './ip-network.ts';
import type { PlaybackRequest } from './playback.ts';

/** Checks a GetPlayback request; `peer` stands in for an empty client address. INVALID_FIELDS with all faults. */
export function readPlaybackRequest(request: GetPlaybackRequest, peer: string): PlaybackRequest {
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field, description });
  const { session, sourceCount } = request;
  if (session === '' || session.length > 128) fault('session', 'must have 1-128 characters');
  if (sourceCount < 0) fault('source_count', `must not be negative, got ${sourceCount}`);
  const region = request.clientRegion.toUpperCase();
  if (region !== '' && !/^[A-Z]{2}$/.test(region)) fault('client_region', 'must be an ISO 3166 alpha-2 code');
  const address = readAddress(request.clientAddress, peer, fault);
  const location = readLocation(request, fault);
  if (faults.length > 0) throw invalidFields(faults);
  const { titleId, version } = readEncodeSetOrTitle('title', request.title);
  const client = { session, address, region, asn: request.clientAsn, location };
  return { titleId, version, client, sourceCount: sourceCount === 0 ? 3 : Math.min(sourceCount, 10) };
}

type Fault = (field: string, description: string) => void;

function readAddress(text: string, peer: string, fault: Fault): IpAddress | undefined {
  if (text === '') return addressOfPeer(peer);
  const address = parseIpAddress(text);
  if (address === undefined) fault('client_address', 'must be an IPv4 or IPv6 address');
  return address;
}

function readLocation(request: GetPlaybackRequest, fault: Fault): Location | undefined {
  const { hasLocation, latitude, longitude } = request;
  if (!hasLocation) return undefined;
  if (!(Math.abs(latitude) <= 90)) fault('latitude', 'must be -90 to 90');
  if (!(Math.abs(longitude) <= 180)) fault('longitude', 'must be -180 to 180');
  return { latitude, longitude };
}
