package kaflinkshop;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.io.network.netty.InboundChannelHandlerFactory;
import org.apache.flink.shaded.netty4.io.netty.buffer.Unpooled;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelFutureListener;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandlerContext;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelInboundHandlerAdapter;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.DefaultFullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpHeaderNames;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpMethod;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpRequest;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpResponseStatus;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpVersion;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.QueryStringDecoder;
import org.apache.flink.shaded.netty4.io.netty.util.ReferenceCountUtil;

/**
 * Has Flink's REST interface answer GET alone: who reaches it may look, and cancel, stop or change
 * nothing. Flink's own web.cancel.enable only hides a button, and two GETs, made for YARN's proxy,
 * cancel and stop a job.
 */
public class ReadOnlyPage implements InboundChannelHandlerFactory {

    public int priority() {
        return 0;
    }

    public Optional createHandler(Configuration configuration, Map responseHeaders) {
        return Optional.of(new Refusing());
    }

    static class Refusing extends ChannelInboundHandlerAdapter {

        public void channelRead(ChannelHandlerContext context, Object message) throws Exception {
            if (!(message instanceof HttpRequest) || isLook((HttpRequest) message)) {
                super.channelRead(context, message);
                return;
            }
            ReferenceCountUtil.release(message);
            byte[] body = "{\"errors\":[\"This page is read only.\"]}".getBytes(StandardCharsets.UTF_8);
            DefaultFullHttpResponse response = new DefaultFullHttpResponse(
                    HttpVersion.HTTP_1_1, HttpResponseStatus.FORBIDDEN, Unpooled.wrappedBuffer(body));
            response.headers().set(HttpHeaderNames.CONTENT_TYPE, "application/json");
            response.headers().set(HttpHeaderNames.CONTENT_LENGTH, String.valueOf(body.length));
            context.writeAndFlush(response).addListener(ChannelFutureListener.CLOSE);
        }

        static boolean isLook(HttpRequest request) {
            String path = new QueryStringDecoder(request.uri()).path();
            return HttpMethod.GET.equals(request.method()) && !path.contains("yarn-");
        }
    }
}
