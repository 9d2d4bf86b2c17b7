import static org.hamcrest.Matchers.anyOf;
import static org.hamcrest.Matchers.is;
import static org.hamcrest.Matchers.nullValue;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.qpid.protonj2.test.driver.ProtonTestServer;
import org.apache.qpid.protonj2.test.driver.codec.transport.Role;

/** A scripted peer for each case, at a port of its own. When its input ends, it says which scripts were run to the end. */
public final class Driver {
    private static final byte[] MESSAGE = {0x00, 0x53, 0x75, (byte) 0xa0, 2, 'h', 'i'};

    private static final Map<String, Consumer<ProtonTestServer>> CASES = new LinkedHashMap<>();

    static {
        CASES.put("attach refused", peer -> {
            begun(peer);
            peer.expectAttach().ofSender().respond().withNullTarget();
            peer.remoteDetach().withClosed(true).withErrorCondition("amqp:not-found", "no such node").queue();
            peer.expectDetach().withClosed(true);
            sender(peer);
            peer.expectTransfer().accept();
            left(peer, 1);
        });
        CASES.put("attached, then detached with an error", peer -> {
            begun(peer);
            sender(peer);
            peer.expectTransfer();
            peer.remoteDetach().withClosed(true).withErrorCondition("amqp:resource-deleted", "it is gone").queue();
            peer.expectDetach().withClosed(true);
            left(peer, 0);
        });
        CASES.put("handle-max 0", peer -> {
            opened(peer);
            peer.expectBegin().respond().withHandleMax(0);
            sender(peer);
            peer.expectTransfer().withHandle(0).accept();
            left(peer, 1);
        });
        CASES.put("txn-id of 255 octets", peer -> {
            byte[] id = new byte[255];
            begun(peer);
            peer.expectCoordinatorAttach().respond();
            peer.remoteFlow().withLinkCredit(10).queue();
            peer.expectDeclare().declared(id);
            sender(peer);
            peer.expectTransfer().withHandle(1).withState().transactional().withTxnId(id).and().respond().withSettled(true)
                .withState().transactional().withTxnId(id).withAccepted();
            peer.expectDischarge().withTxnId(id).withFail(false).accept();
            left(peer, 2);
        });
        CASES.put("closed during SASL", peer -> {
            peer.expectSASLHeader().respondWithSASLHeader();
            peer.remoteSaslMechanisms().withMechanisms("ANONYMOUS").queue();
            peer.expectSaslInit().withMechanism("ANONYMOUS");
            peer.dropAfterLastHandler();
        });
        CASES.put("SASL refused", peer -> peer.expectFailingSASLPlainConnect((byte) 1, "PLAIN"));
        CASES.put("open refused", peer -> {
            peer.expectSASLAnonymousConnect();
            peer.expectOpen().reject("amqp:not-allowed", "not you");
            peer.expectClose();
        });
        CASES.put("session window of one frame", peer -> {
            peer.expectSASLAnonymousConnect();
            peer.expectOpen().respond().withMaxFrameSize(512);
            peer.expectBegin().respond().withIncomingWindow(1).withNextOutgoingId(0);
            peer.expectAttach().ofSender().respond();
            for (int frames = 0; frames < 4; frames++) {
                peer.remoteFlow().withNextIncomingId(frames).withIncomingWindow(1).withLinkCredit(1).withDeliveryCount(0).queue();
                if (frames < 3) {
                    peer.expectTransfer().withMore(true);
                }
            }
            peer.expectTransfer().withMore(anyOf(nullValue(), is(false)));
            peer.remoteDisposition().withRole(Role.RECEIVER).withFirst(0).withSettled(true).withState().accepted().queue();
            left(peer, 1);
        });
        CASES.put("three rejected at once", peer -> {
            begun(peer);
            sender(peer);
            for (int sent = 0; sent < 3; sent++) {
                peer.expectTransfer().withDeliveryId(sent);
            }
            peer.remoteDisposition().withRole(Role.RECEIVER).withFirst(0).withLast(2).withSettled(true)
                .withState().rejected("amqp:decode-error", "not readable").queue();
            left(peer, 1);
        });
        CASES.put("link of the server's", peer -> {
            begun(peer);
            peer.expectAttach().ofSender().respond();
            peer.remoteAttach().ofSender().withName("theirs").withHandle(7).withInitialDeliveryCount(0)
                .withSource().withAddress("a").and().withTarget().withAddress("b").and().queue();
            peer.expectAttach().ofReceiver().withName("theirs").withNullTarget();
            peer.expectDetach().withClosed(true).respond();
            peer.remoteFlow().withHandle(0).withDeliveryCount(0).withLinkCredit(10).queue();
            peer.expectTransfer().accept();
            left(peer, 1);
        });
        CASES.put("delivery aborted", peer -> {
            begun(peer);
            receiver(peer);
            peer.remoteTransfer().withHandle(0).withDeliveryId(0).withDeliveryTag(new byte[] {0}).withMore(true).withPayload(MESSAGE).queue();
            peer.remoteTransfer().withHandle(0).withDeliveryId(0).withNullDeliveryTag().withAborted(true).queue();
            transfer(peer, 1);
            peer.expectDisposition().withFirst(1).withSettled(true).withState().accepted();
            left(peer, 1);
        });
        CASES.put("receiver settles second", peer -> {
            begun(peer);
            peer.expectAttach().ofReceiver().withReceiverSettlesSecond().respond();
            peer.expectFlow();
            transfer(peer, 0);
            peer.expectDisposition().withFirst(0).withSettled(anyOf(nullValue(), is(false))).withState().accepted();
            peer.remoteDisposition().withRole(Role.SENDER).withFirst(0).withSettled(true).withState().accepted().queue();
            left(peer, 1);
        });
        CASES.put("drain", peer -> {
            begun(peer);
            receiver(peer);
            transfer(peer, 0);
            peer.expectFlow().withDrain(true).withLinkCredit(9).withDeliveryCount(1).respond().withLinkCredit(0).withDeliveryCount(10).withDrain(true);
            peer.expectDisposition().withFirst(0).withSettled(true).withState().accepted();
            left(peer, 1);
        });
        CASES.put("idle time-out", peer -> {
            peer.expectSASLAnonymousConnect();
            peer.expectOpen().respond().withIdleTimeOut(400);
            peer.expectEmptyFrame();
            peer.expectEmptyFrame();
            peer.expectEmptyFrame();
            peer.remoteClose().withErrorCondition("amqp:connection:forced", "heard three times").queue();
            peer.expectClose();
        });
        CASES.put("closed with an error", peer -> {
            begun(peer);
            sender(peer);
            peer.expectTransfer();
            peer.remoteClose().withErrorCondition("amqp:connection:forced", "shutting down").queue();
            peer.expectClose();
        });
    }

    private static void opened(ProtonTestServer peer) {
        peer.expectSASLAnonymousConnect();
        peer.expectOpen().respond();
    }

    private static void begun(ProtonTestServer peer) {
        opened(peer);
        peer.expectBegin().respond();
    }

    private static void sender(ProtonTestServer peer) {
        peer.expectAttach().ofSender().respond();
        peer.remoteFlow().withLinkCredit(10).queue();
    }

    private static void receiver(ProtonTestServer peer) {
        peer.expectAttach().ofReceiver().respond();
        peer.expectFlow().withLinkCredit(10);
    }

    /** Our client lets go of its links, its session and its connection. */
    private static void left(ProtonTestServer peer, int links) {
        for (int link = 0; link < links; link++) {
            peer.expectDetach().withClosed(true).respond();
        }
        peer.expectEnd().respond();
        peer.expectClose().respond();
    }

    private static void transfer(ProtonTestServer peer, int id) {
        peer.remoteTransfer().withHandle(0).withDeliveryId(id).withDeliveryTag(new byte[] {(byte) id}).withPayload(MESSAGE).queue();
    }

    public static void main(String[] args) throws Exception {
        var peers = new LinkedHashMap<String, ProtonTestServer>();
        var ports = new StringBuilder();
        for (var each : CASES.entrySet()) {
            var peer = new ProtonTestServer();
            each.getValue().accept(peer);
            peer.start();
            peers.put(each.getKey(), peer);
            ports.append(String.format(",\"%s\":%d", each.getKey(), peer.getServerURI().getPort()));
        }
        System.out.println("{\"event\":\"ready\",\"ports\":{" + ports.substring(1) + "}}");
        while (System.in.read() >= 0) {
        }
        for (var each : peers.entrySet()) {
            Report.of(each.getKey(), () -> {
                each.getValue().waitForScriptToComplete(2, TimeUnit.SECONDS);
                return 0;
            });
        }
        System.exit(0);
    }
}
