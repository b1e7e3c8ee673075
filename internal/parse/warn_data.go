package parse

// The built-in lists hold facts only: address ranges of the IANA special-purpose registries,
// resolvers and names as their operators publish them.

var builtinPrefixes = []struct{ prefix, reason string }{
	{"0.0.0.0/8", ReasonThisNetwork},
	{"10.0.0.0/8", ReasonPrivate},
	{"172.16.0.0/12", ReasonPrivate},
	{"192.168.0.0/16", ReasonPrivate},
	{"100.64.0.0/10", ReasonShared},
	{"127.0.0.0/8", ReasonLoopback},
	{"169.254.0.0/16", ReasonLinkLocal},
	{"169.254.169.254/32", ReasonPlatform},
	{"192.0.0.0/24", ReasonReserved},
	{"192.0.2.0/24", ReasonDocumentation},
	{"198.51.100.0/24", ReasonDocumentation},
	{"203.0.113.0/24", ReasonDocumentation},
	{"192.88.99.0/24", ReasonReserved},
	{"198.18.0.0/15", ReasonBenchmark},
	{"224.0.0.0/4", ReasonMulticast},
	{"240.0.0.0/4", ReasonReserved},
	{"255.255.255.255/32", ReasonMulticast},

	{"::/128", ReasonThisNetwork},
	{"::1/128", ReasonLoopback},
	{"100::/64", ReasonReserved},
	{"2001:db8::/32", ReasonDocumentation},
	{"3fff::/20", ReasonDocumentation},
	{"fc00::/7", ReasonPrivate},
	{"fe80::/10", ReasonLinkLocal},
	{"ff00::/8", ReasonMulticast},

	{"1.1.1.1/32", ReasonResolver},
	{"1.0.0.1/32", ReasonResolver},
	{"1.1.1.2/31", ReasonResolver},
	{"1.0.0.2/31", ReasonResolver},
	{"8.8.8.8/32", ReasonResolver},
	{"8.8.4.4/32", ReasonResolver},
	{"9.9.9.9/32", ReasonResolver},
	{"9.9.9.10/31", ReasonResolver},
	{"149.112.112.112/32", ReasonResolver},
	{"208.67.222.222/32", ReasonResolver},
	{"208.67.220.220/32", ReasonResolver},
	{"208.67.222.123/32", ReasonResolver},
	{"208.67.220.123/32", ReasonResolver},
	{"94.140.14.14/31", ReasonResolver},
	{"94.140.15.15/32", ReasonResolver},
	{"64.6.64.6/32", ReasonResolver},
	{"64.6.65.6/32", ReasonResolver},
	{"4.2.2.1/32", ReasonResolver},
	{"4.2.2.2/31", ReasonResolver},
	{"4.2.2.4/31", ReasonResolver},
	{"4.2.2.6/32", ReasonResolver},
	{"77.88.8.8/32", ReasonResolver},
	{"77.88.8.1/32", ReasonResolver},
	{"114.114.114.114/32", ReasonResolver},
	{"223.5.5.5/32", ReasonResolver},
	{"223.6.6.6/32", ReasonResolver},
	{"185.228.168.168/31", ReasonResolver},
	{"76.76.2.0/32", ReasonResolver},
	{"76.76.10.0/32", ReasonResolver},
	{"2606:4700:4700::1111/128", ReasonResolver},
	{"2606:4700:4700::1001/128", ReasonResolver},
	{"2001:4860:4860::8888/128", ReasonResolver},
	{"2001:4860:4860::8844/128", ReasonResolver},
	{"2620:fe::fe/128", ReasonResolver},
	{"2620:fe::9/128", ReasonResolver},
	{"2620:119:35::35/128", ReasonResolver},
	{"2620:119:53::53/128", ReasonResolver},

	{"168.63.129.16/32", ReasonPlatform},
	{"fd00:ec2::254/128", ReasonPlatform},
	{"17.0.0.0/8", ReasonWellKnown}, // Apple runs all of it
}

var builtinNames = []struct{ reason, names string }{
	{ReasonDocumentation, `example.com example.net example.org example.edu example`},
	{ReasonSpecialName, `localhost test invalid local internal home.arpa in-addr.arpa ip6.arpa lan
		localdomain`},
	{ReasonWellKnown, `
		microsoft.com windowsupdate.com windows.com microsoftonline.com msftconnecttest.com
		msftncsi.com office365.com msn.com bing.com skype.com aadrm.com microsoftonline-p.com
		msauth.net msftauth.net msidentity.com visualstudio.com nuget.org
		outlook.office365.com outlook.office.com login.live.com login.windows.net
		login.microsoftonline.us activation.sls.microsoft.com s-microsoft.com msecnd.net
		wns.windows.com virtualearth.net microsoft.net trouter.io
		google.com gstatic.com gvt1.com gvt2.com youtube.com ytimg.com
		google-analytics.com googletagmanager.com doubleclick.net android.com chromium.org
		recaptcha.net googlesyndication.com
		apple.com icloud.com mzstatic.com aaplimg.com apple-dns.net cdn-apple.com
		mozilla.org mozilla.net mozilla.com firefox.com
		amazon.com cloudflare.com cloudflare-dns.com akamai.com akamaiedge.net edgekey.net
		edgesuite.net fastly.com
		digicert.com verisign.com globalsign.com entrust.net sectigo.com usertrust.com
		identrust.com lencr.org letsencrypt.org comodoca.com godaddy.com symcb.com symcd.com
		amazontrust.com pki.goog
		ubuntu.com canonical.com debian.org redhat.com fedoraproject.org centos.org kernel.org
		archlinux.org opensuse.org suse.com rockylinux.org almalinux.org alpinelinux.org
		python.org pypi.org pythonhosted.org npmjs.org npmjs.com golang.org go.dev rust-lang.org
		crates.io maven.org rubygems.org docker.com docker.io
		adobe.com oracle.com java.com vmware.com cisco.com intel.com nvidia.com amd.com hp.com
		dell.com lenovo.com ibm.com sap.com salesforce.com zoom.us webex.com
		mitre.org nist.gov w3.org ietf.org iana.org icann.org xmlsoap.org openxmlformats.org
		schema.org
		crowdstrike.com sentinelone.net paloaltonetworks.com fortinet.com sophos.com
		trendmicro.com mcafee.com trellix.com symantec.com kaspersky.com eset.com avast.com
		malwarebytes.com elastic.co splunk.com wazuh.com virustotal.com shodan.io
		wikipedia.org facebook.com linkedin.com twitter.com whatsapp.net instagram.com`},
}

// sharedHosts are names, most below listed ones, where anybody can publish content or hide a
// target. They and everything below them stay indicators.
const sharedHosts = `
	docs.google.com drive.google.com sites.google.com script.google.com forms.google.com
	groups.google.com translate.google.com storage.googleapis.com firebasestorage.googleapis.com
	commondatastorage.googleapis.com storage.cloud.google.com colab.research.google.com
	lh3.google.com calendar.google.com feedproxy.google.com
	forms.microsoft.com forms.office.com sway.office.com customervoice.microsoft.com
	gallery.technet.microsoft.com social.technet.microsoft.com answers.microsoft.com
	sharepoint.com onedrive.live.com 1drv.ms blob.core.windows.net web.core.windows.net
	file.core.windows.net core.windows.net azurewebsites.net azureedge.net cloudapp.net
	cloudapp.azure.com azurecontainerapps.io trafficmanager.net azurefd.net
	github.io githubusercontent.com github.com gitlab.io gitlab.com bitbucket.io
	amazonaws.com cloudfront.net amplifyapp.com awsapps.com elasticbeanstalk.com
	googleusercontent.com appspot.com firebaseapp.com web.app run.app cloudfunctions.net
	blogspot.com wordpress.com pages.dev workers.dev r2.dev trycloudflare.com
	netlify.app vercel.app herokuapp.com onrender.com ngrok.io ngrok-free.app
	dropbox.com dropboxusercontent.com box.com wetransfer.com mediafire.com mega.nz
	pastebin.com discord.com discordapp.com telegram.org t.me notion.site
	marketing.adobe.com express.adobe.com new.express.adobe.com documentcloud.adobe.com
	indd.adobe.com spark.adobe.com my.salesforce.com force.com site.com
	l.facebook.com lm.facebook.com l.instagram.com lnkd.in t.co
	files.pythonhosted.org registry.npmjs.org hub.docker.com
	akamaihd.net edgecastcdn.net fastly.net atlassian.net zendesk.com`

// emptyHashes are the MD5, SHA-1 and SHA-256 of nothing.
const emptyHashes = `d41d8cd98f00b204e9800998ecf8427e
	da39a3ee5e6b4b0d3255bfef95601890afd80709
	e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`
